"""Safe loading of weights, and of the resume states that mmengine writes."""

import pickle
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
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


def load_data(
    path: Path,
    map_location: str | torch.device | None = 'cpu',
    mmap: bool = False,
) -> Any:
    """Read what ``torch.save`` wrote, whole and as data.

    Args:
        path: The file.
        map_location: See ``torch.load``.
        mmap: See ``torch.load``.

    Raises:
        Exception: About any, if the file holds more than data, is damaged
            or holds something else. None says how to read it all the same.
    """
    # torch looks neither at checksums of a mapped file nor for twins
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
            names = Counter(entry.filename for entry in entries)
            for name, count in names.items():
                if count > 1:
                    raise ValueError(f'{name} occurs {count} times in it')
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f'{entry.filename} in it is compressed')
            damaged = file.testzip()
        if damaged is not None:
            raise ValueError(f'{damaged} in it does not fit its checksum')
    elif mmap:
        raise ValueError('it is no whole archive, as torch.save writes them')
    try:
        return torch.load(
            path, map_location=map_location, mmap=mmap, weights_only=True
        )
    except pickle.UnpicklingError as error:
        # behind a page of advice, how to run what it holds among it
        found = str(error).partition('WeightsUnpickler error:')[2].strip()
        found = found.partition('\n')[0].partition('. ')[0]
        raise ValueError(
            f'torch finds more than data, or none: {found or "no pickle"}'
        ) from error


def load_from_local(
    filename: str, map_location: str | torch.device | None = None
) -> Any:
    """Read a checkpoint for mmengine.

    mmengine 0.10.12 allows every ``getattr`` while it reads one, and runs the
    code of what torch refuses; 0.10.7 does not look at checksums.

    Args:
        filename: A path; ``~`` is the home folder.
        map_location: See ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds more than data, is none, or
            holds NaN or infinities.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{filename} can not be found.')
    try:
        content = load_data(path, map_location)
    # an unpickler that reads garbage raises about everything
    except Exception as error:
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ValueError(
            f'{path}: not a checkpoint that can be read ({reason})'
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{path}: expected a checkpoint, a dictionary, got a '
            f'{type(content).__name__}'
        )
    # as mmengine's and detectron2's checkpoints have it, or bare
    for key in ('state_dict', 'model'):
        if isinstance(content.get(key), Mapping):
            require_finite(content[key], path)
    require_finite(content, path)
    return content


def require_finite(state: Mapping[Any, Any], path: Path) -> None:
    """Refuse parameters that are no numbers.

    Raises:
        ValueError: Naming the file and the first one.
    """
    for name, value in state.items():
        if (
            isinstance(value, torch.Tensor)
            and value.is_floating_point()
            and not value.float().isfinite().all()
        ):
            raise ValueError(
                f'{path}: {name} holds NaN or infinities; the training '
                'diverged or the file is damaged'
            )


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
