"""Safe loading of the resume states that mmengine writes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

ARRAY_MAKERS: dict[tuple[str, str], Any] = {
    # numpy 2 renamed the folder of its internals; a pickle may have either
    (f'numpy.{folder}.multiarray', name): maker
    for folder in ('core', '_core')
    for name, maker in (
        ('_reconstruct', np.zeros(0).__reduce__()[0]),
        ('scalar', np.float64(0).__reduce__()[0]),
    )
}
"""Functions that pickled arrays and numbers are made with, by their place."""
_STATISTICS = ('min', 'max', 'current', 'mean')


def _history_statistic(owner: type, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr`` while a checkpoint is read.

    A pickled history buffer holds its four statistics, each written as
    ``getattr(HistoryBuffer, name)``. Nothing else may be looked up: a free
    ``getattr`` would let a checkpoint reach any function.

    Raises:
        ValueError: If anything else is asked for.
    """
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise ValueError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}; only '
            f'{_STATISTICS} of mmengine.logging.HistoryBuffer are allowed'
        )
    return getattr(HistoryBuffer, name)


def allow_resume_states() -> None:
    """Let ``torch.load`` read what an mmengine runner saves.

    From torch 2.6 on, ``torch.load`` only builds types it knows, and mmengine
    0.10 does not ask for anything else, so its own resume states are refused.
    This adds the types such a state holds, to the whole process, and leaves
    safe loading on: history buffers and the numpy arrays and numbers in them.
    """
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (_history_statistic, 'builtins.getattr'),
            np.ndarray,
            np.dtype,
            *(type(np.dtype(kind)) for kind in ('f4', 'f8', 'i8')),
            *(
                (maker, f'{module}.{name}')
                for (module, name), maker in ARRAY_MAKERS.items()
            ),
        ]
    )
