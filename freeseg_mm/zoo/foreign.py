"""Checkpoints of strangers: read without running what they hold."""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freeseg_mm.utils.torch_load import ARRAY_MAKERS, load_data

_ALLOWED: dict[tuple[str, str], Any] = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    **ARRAY_MAKERS,
}


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the parameters of a checkpoint of another system.

    Args:
        path: What ``torch.save`` wrote, with the parameters under
            ``state_dict`` (OpenMMLab), ``model`` (detectron2) or at the top;
            or a pickle (``.pkl``) of numpy arrays.

    Returns:
        Parameters and buffers by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, holds objects other than tensors,
            arrays and plain values, or no parameters.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    try:
        if path.suffix == '.pkl':
            with open(path, 'rb') as file:
                content = _ArraysOnly(file, encoding='latin1').load()
        else:
            content = load_data(path)
    # an unpickler that reads garbage raises about everything
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f'{path}: damaged, no checkpoint, or one that would run code of '
            f'its own when it is read ({reason[0]}); download it again, or '
            "save its parameters alone, as torch.save({'state_dict': "
            "model.state_dict()}, 'FILE.pth')"
        ) from error
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and key in content:
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{path}: expected parameters by name, found a '
            f'{type(content).__name__}'
        )
    state = {
        name: torch.as_tensor(value)
        for name, value in content.items()
        if isinstance(value, Tensor)
        or (isinstance(value, np.ndarray) and value.dtype.kind in 'biuf')
    }
    if not state or len(state) < len(content):
        others = [name for name in content if name not in state]
        raise ValueError(
            f'{path}: expected tensors by name, found '
            f'{len(state)} of them beside {others[:5]}'
        )
    return state


class _ArraysOnly(pickle.Unpickler):
    """Unpickle numpy arrays and plain values; nothing else is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        """Give one of the few classes allowed.

        Raises:
            UnpicklingError: If it is another one.
        """
        if (module, name) == ('_codecs', 'encode'):
            return _latin1  # of byte strings, in pickles of protocol 2
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}')
        return _ALLOWED[module, name]


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'it asks for the encoding {encoding!r}')
    return text.encode('latin1')
