"""A run that is interrupted and resumed ends with the weights of one run."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from freeseg_mm.registry import HOOKS

KEY = 'freeseg_mm_random'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Keep the state of the random generators in checkpoints.

    mmengine brings back weights, optimiser, schedules and, by reading again
    what was read, the data; but a loss that draws points or a dropout goes
    on with other numbers after a resume. Here it goes on with the same
    ones, and validation, which draws a few too, leaves no trace.

    For ``IterBasedTrainLoop`` in one process: a checkpoint holds the states
    of the process that writes it, so with several nothing is kept. Equal to
    the last bit where the computations are: on CPU, and on a GPU as far as
    its operators are deterministic.
    """

    def __init__(self) -> None:
        self._resumed: dict[str, Any] | None = None
        self._before_val: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the states that the next iteration begins with."""
        if get_world_size() == 1:
            checkpoint[KEY] = self._before_val or random_states()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the states of a checkpoint that is resumed from."""
        if runner._resume and get_world_size() == 1:
            self._resumed = checkpoint.get(KEY)

    def before_train(self, runner: Runner) -> None:
        """Put the states back once the data are where they were."""
        if self._resumed is None:
            return
        loop = runner.train_loop
        skips = not getattr(loop, 'fast_forward_on_resume', False)
        loop.dataloader_iterator = _RestoringIterator(
            loop.dataloader_iterator, loop.iter if skips else 0, self._resumed
        )
        self._resumed = None

    def before_val(self, runner: Runner) -> None:
        """Note the states that training goes on with."""
        self._before_val = random_states()

    def after_val(self, runner: Runner) -> None:
        """Bring them back."""
        if self._before_val is not None:
            restore_random_states(self._before_val)
            self._before_val = None


class _RestoringIterator:
    """Batches; before the first one after those skipped, states are restored.

    The loop itself skips, between two hooks; the batch after may be drawn
    in this process.
    """

    def __init__(
        self, batches: Iterator[Any], skipped: int, states: dict[str, Any]
    ) -> None:
        self._batches = batches
        self._to_skip = skipped
        self._states = states

    def __iter__(self) -> '_RestoringIterator':
        return self

    def __next__(self) -> Any:
        if self._to_skip == 0:
            restore_random_states(self._states)
        self._to_skip -= 1
        return next(self._batches)

    def skip_iter(self, num_iters: int) -> None:
        """Skip batches by reading them, for a loop of mmengine 0.10.12.

        Its own iterator would leave out the reading, and make the loader's
        iterator, which draws a number, after the states are restored.
        """
        for _ in range(num_iters):
            next(self)


def random_states() -> dict[str, Any]:
    """States of Python's, NumPy's and PyTorch's generators.

    Returns:
        Tensors, tuples and numbers alone, so that a checkpoint with them
        loads safely.
    """
    numpy_state = np.random.get_state(legacy=False)
    keys = numpy_state['state']['key'].astype(np.int64)
    return {
        'python': random.getstate(),
        'numpy': {
            **numpy_state,
            'state': {**numpy_state['state'], 'key': torch.from_numpy(keys)},
        },
        'torch': torch.get_rng_state(),
        'cuda': (
            torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        ),
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Bring back what :func:`random_states` gave, on whatever device it is.

    States of more or fewer GPUs than there are now are left out.
    """
    random.setstate(states['python'])
    numpy_state = states['numpy']
    keys = numpy_state['state']['key'].cpu().numpy().astype(np.uint32)
    np.random.set_state(
        {**numpy_state, 'state': {**numpy_state['state'], 'key': keys}}
    )
    torch.set_rng_state(states['torch'].cpu())
    if len(states['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in states['cuda']])
