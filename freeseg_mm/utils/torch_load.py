"""Safe loading of the resume states that mmengine writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

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


def load_from_local(
    filename: str, map_location: str | torch.device | None = None
) -> dict[str, Any]:
    """Read a checkpoint for mmengine.

    mmengine 0.10.12 allows every ``getattr`` while it reads one, and runs the
    code of what torch refuses; 0.10.7 does as this function does.

    Args:
        filename: A path; ``~`` is the home folder.
        map_location: See ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        pickle.UnpicklingError: If the file holds more than data.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{filename} can not be found.')
    return torch.load(path, map_location=map_location, weights_only=True)


def allow_resume_states() -> None:
    """Let ``torch.load`` read what an mmengine runner saves.

    From torch 2.6 on, ``torch.load`` only builds types it knows, and mmengine
    0.10 does not ask for anything else, so its own resume states are refused.
    This adds the types such a state holds, to the whole process, and leaves
    safe loading on: history buffers and the numpy arrays and numbers in them.
    """
    types = (
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *(type(np.dtype(kind)) for kind in ('f4', 'f8', 'i8')),
    )
    # With their places: a bare type is taken off again by the first
    # `torch.serialization.safe_globals` of another library that names it.
    torch.serialization.add_safe_globals(
        [(each, f'{each.__module__}.{each.__qualname__}') for each in types]
        + [(_history_statistic, 'builtins.getattr')]
        + [
            (maker, f'{module}.{name}')
            for (module, name), maker in ARRAY_MAKERS.items()
        ]
    )
    CheckpointLoader.register_scheme('', load_from_local, force=True)
