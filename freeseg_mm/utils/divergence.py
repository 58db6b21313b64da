"""The end of a training whose numbers are no longer finite."""

from mmengine.logging import MessageHub


class DivergedError(FloatingPointError):
    """NaN or infinite losses, matching costs or weights of a training."""

    @classmethod
    def of(cls, found: str) -> 'DivergedError':
        """Say what is not finite, in which iteration, and what to try.

        Args:
            found: What is NaN or infinite.

        Returns:
            The error; its iteration is the one mmengine's runner is at,
            counted from 1 as in its logs.
        """
        hub = MessageHub.get_current_instance()
        iteration = hub.runtime_info.get('iter', 0) + 1
        return cls(
            f'training has diverged in iteration {iteration}, with NaN or '
            f'infinite {found}, and stops with the checkpoints as they are: '
            'go on from the last one with a lower learning rate '
            '(optim_wrapper.optimizer.lr), clipped gradients '
            '(optim_wrapper.clip_grad.max_norm) or, with --amp, without it'
        )
