"""Text embeddings kept on disk between runs."""

import hashlib
import logging
import os
from pathlib import Path
from uuid import uuid4

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .text_key import TextKey, tensor_bytes

FIELD = 'embeds'


class TextStore:
    """A folder of embeddings, one safetensors file for each key.

    Files are named after their key and written whole or not at all, so any
    number of processes may share the folder, and files may be deleted at
    any time. What is read is checked against the key and a checksum.

    Args:
        folder: The folder; made when the first entry is written.

    Raises:
        TypeError: If it is no string.
        ValueError: If it, or one of its parents, is no folder.
    """

    def __init__(self, folder: str) -> None:
        if not isinstance(folder, str):
            raise TypeError(
                'text_cache_dir: expected the path of a folder or None, got '
                f'{folder!r}'
            )
        self.folder = Path(folder).expanduser()
        for path in (self.folder, *self.folder.parents):
            if path.exists():
                break
        if not path.is_dir():
            raise ValueError(
                f'text_cache_dir {folder!r}: {path} is no folder; give a '
                'folder for text embeddings, or None to keep none on disk'
            )
        self._can_write = True

    def load(self, key: TextKey, dim: int) -> Tensor | None:
        """Read what was stored for a key.

        Args:
            key: What the embeddings depend on.
            dim: Width D they must have.

        Returns:
            (P, D), float32, on the CPU; ``None`` if there is no such file,
            or, with a warning, if it is not what was stored.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return _read(path, key, (len(key.prompts), dim))
        except (SafetensorError, OSError, ValueError) as error:
            _warn(
                f'text embeddings in {path} are of no use ({error}); they '
                'are computed and written again'
            )
            return None

    def save(self, key: TextKey, embeds: Tensor) -> None:
        """Write an entry; a failure is a warning, and the last attempt.

        Args:
            key: What the embeddings depend on.
            embeds: (P, D), float32. Not written if not finite.
        """
        if not self._can_write or not embeds.isfinite().all():
            return
        embeds = embeds.cpu().contiguous()
        notes = {**key.to_dict(), 'checksum': _checksum(embeds)}
        path = self._path(key)
        # a name of its own: several processes may write the same entry
        partial_path = path.with_name(f'.partial-{uuid4().hex}')
        try:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                partial_path.write_bytes(save({FIELD: embeds}, notes))
                os.replace(partial_path, path)
            finally:
                partial_path.unlink(missing_ok=True)
        except OSError as error:
            self._can_write = False
            _warn(
                f'text embeddings cannot be written to {path} ({error}); '
                'this process keeps them in memory only'
            )

    def _path(self, key: TextKey) -> Path:
        return self.folder / f'{key.digest}.safetensors'


def _read(path: Path, key: TextKey, shape: tuple[int, int]) -> Tensor:
    """Read a file.

    Raises:
        ValueError: If it is not the entry of this key, whole.
        SafetensorError: If it is no safetensors file.
        OSError: If it cannot be read.
    """
    with safe_open(path, 'pt') as file:
        notes = file.metadata() or {}
        if {name: notes.get(name) for name in key.to_dict()} != key.to_dict():
            raise ValueError('they were made from something else')
        if list(file.keys()) != [FIELD]:
            raise ValueError(f'expected {FIELD!r}, got {list(file.keys())}')
        # the file's own memory may change under our hands
        embeds = file.get_tensor(FIELD).clone()
    if embeds.dtype != torch.float32 or embeds.shape != shape:
        raise ValueError(
            f'expected float32 of shape {shape}, got {embeds.dtype} of '
            f'{tuple(embeds.shape)}'
        )
    if _checksum(embeds) != notes.get('checksum'):
        raise ValueError('their checksum differs')
    if not embeds.isfinite().all():
        raise ValueError('they are not finite')
    return embeds


def _checksum(embeds: Tensor) -> str:
    return hashlib.blake2b(tensor_bytes(embeds), digest_size=16).hexdigest()


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
