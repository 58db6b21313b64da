"""Safe loading of the resume states that mmengine writes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

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
    makers: dict[str, Any] = {
        '_reconstruct': np.zeros(0).__reduce__()[0],
        'scalar': np.float64(0).__reduce__()[0],
    }
    # numpy 2 renamed the folder of its internals; a state may have either.
    named = [
        (maker, f'numpy.{folder}.multiarray.{name}')
        for name, maker in makers.items()
        for folder in ('core', '_core')
    ]
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (_history_statistic, 'builtins.getattr'),
            np.ndarray,
            np.dtype,
            *(type(np.dtype(kind)) for kind in ('f4', 'f8', 'i8')),
            *named,
        ]
    )
