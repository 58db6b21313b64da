"""Stop a training before what has diverged replaces what is good."""

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.distributed._shard.sharded_tensor import ShardedTensor

from freeseg_mm.registry import HOOKS
from freeseg_mm.utils.errors import DivergedError


@HOOKS.register_module()
class FiniteTrainingHook(Hook):
    """Raise when a loss or a weight to be saved is NaN or infinite.

    mmdet's ``CheckInvalidLossHook`` fetches a loss now and then, and not the
    weights. Here all losses of each iteration are looked at as mmengine
    logs them, so that the device is not waited for once more, and the
    weights of a checkpoint before it is written. Gradients that overflow
    under mixed precision, whose scale mmengine then lowers, are no matter.

    Raises:
        DivergedError: From :meth:`after_train_iter` and
            :meth:`before_save_checkpoint`.
    """

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Look at the losses as they are logged."""
        logged = {
            name: runner.message_hub.get_scalar(f'train/{name}').current()
            for name in outputs or ()
        }
        wrong = [
            name for name, value in logged.items() if not math.isfinite(value)
        ]
        if wrong:
            raise DivergedError.of(', '.join(wrong))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the weights, or this process's, before they are written."""
        for name, value in checkpoint['state_dict'].items():
            if isinstance(value, ShardedTensor):
                value = value.local_tensor()
            if isinstance(value, Tensor) and not value.isfinite().all():
                raise DivergedError.of(f'weights {name}')
