"""Text embeddings that need not be encoded again."""

import hashlib
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from uuid import uuid4

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.scopes import full_precision
from freeseg_mm.version import __version__


@dataclass(frozen=True)
class TextKey:
    """The content that decides the embeddings of one task.

    Equal keys mean equal embeddings, to the rounding of a device.

    Attributes:
        clip: Digest of CLIP's weights and of how its text tower uses them.
        learner: Digest of the prompt learner's type, settings and weights.
        task: The task's name; empty if the prompts do not depend on it.
        prompts: The names in order, synonyms included.
        version: Of this package, as the code decides how prompts are read.
    """

    clip: str
    learner: str
    task: str
    prompts: tuple[str, ...]
    version: str = __version__

    @classmethod
    def of(
        cls,
        clip: FrozenCLIP,
        learner: PromptLearner,
        learner_digest: str,
        task: Task,
        prompts: tuple[str, ...],
    ) -> 'TextKey':
        """The key of one task's embeddings."""
        text = clip.text
        return cls(
            clip=f'{clip.fingerprint}-{text.architecture}-{text.dtype}',
            learner=learner_digest,
            task=task.value if learner.depends_on_task else '',
            prompts=prompts,
        )

    def to_dict(self) -> dict[str, str]:
        """All parts as strings."""
        return {**asdict(self), 'prompts': json.dumps(self.prompts)}

    @property
    def digest(self) -> str:
        """Digest of all parts, 32 hexadecimal digits."""
        return _digest(json.dumps(self.to_dict()).encode())


def learner_state(learner: PromptLearner) -> tuple:
    """Cheap sign of a learner's content, read without a host sync.

    It changes with the settings and whenever PyTorch has seen a change of a
    parameter; see :class:`TextCache` for what PyTorch does not see.
    """
    return (
        *learner.settings.items(),
        *(
            (value.data_ptr(), value._version, value.device, value.dtype)
            for value in chain(learner.parameters(), learner.buffers())
        ),
    )


def learner_digest(learner: PromptLearner) -> str:
    """Digest of a learner's type, settings, parameters and buffers."""
    kind = type(learner)
    parts = [f'{kind.__module__}.{kind.__qualname__}', learner.settings]
    content = [json.dumps(parts).encode()]
    for name, value in learner.state_dict().items():
        about = [name, str(value.dtype), list(value.shape)]
        content += [json.dumps(about).encode(), tensor_bytes(value)]
    return _digest(*content)


def tensor_bytes(value: Tensor) -> bytes:
    """The content of a tensor of any type, on any device."""
    flat = value.detach().cpu().contiguous().view(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _digest(*content: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in content:
        # lengths tell ('ab', 'c') from ('a', 'bc')
        digest.update(f'{len(part)}:'.encode())
        digest.update(part)
    return digest.hexdigest()


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


MAX_ENTRIES = 64
MAX_BYTES = 256 << 20


class TextCache:
    """Embeddings by content (:class:`TextKey`), in memory and on disk.

    Memory holds up to :data:`MAX_ENTRIES` and :data:`MAX_BYTES`, the newest.

    A learner's content is read again once PyTorch has seen an in-place
    change of a parameter. :meth:`clear` covers what PyTorch does not see:
    fused optimizers and swaps by ``.data`` (EMA).

    Args:
        folder: Where embeddings are kept between runs; ``None`` keeps them
            in memory only. Learners in training mode are never stored.

    Raises:
        TypeError: See :class:`TextStore`.
        ValueError: See :class:`TextStore`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._store = None if folder is None else TextStore(folder)
        self._entries: OrderedDict[tuple[TextKey, torch.device], Tensor]
        self._entries = OrderedDict()
        self._digests: dict[int, tuple[PromptLearner, tuple, str]] = {}

    def clear(self) -> None:
        """Forget everything in memory."""
        self._entries.clear()
        self._digests.clear()

    @torch.no_grad()
    def encode(
        self,
        learner: PromptLearner,
        clip: FrozenCLIP,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> Tensor:
        """Same as ``learner(clip.text, vocabulary, tasks)``, (T, P, D).

        Always in full precision, whatever autocast says, as what is kept
        may be asked for without it. Names that are found need not be read:
        they were checked when they were encoded.

        Raises:
            ValueError: If a name is too long for CLIP's context.
        """
        digest = self._digest(learner)
        prompts = vocabulary.prompts
        device = clip.text.device
        rows = []
        for task in tasks:
            key = TextKey.of(clip, learner, digest, task, prompts)
            if (key, device) not in self._entries:
                self._entries[key, device] = self._find(
                    key, learner, clip, vocabulary, task
                )
            rows.append(self._entries[key, device])
            self._forget_oldest()
        return torch.stack(rows)

    def _forget_oldest(self) -> None:
        sizes = [
            value.nbytes + sum(map(len, key.prompts))
            for (key, _), value in self._entries.items()
        ]
        total = sum(sizes)
        for size in sizes:
            if len(self._entries) <= MAX_ENTRIES and total <= MAX_BYTES:
                break
            self._entries.popitem(last=False)
            total -= size

    def _find(
        self,
        key: TextKey,
        learner: PromptLearner,
        clip: FrozenCLIP,
        vocabulary: Vocabulary,
        task: Task,
    ) -> Tensor:
        """Read an entry from disk, or else encode and store it, (P, D)."""
        device = clip.text.device
        store = None if learner.training else self._store
        if store is not None:
            parts = learner.num_parts(learner.settings)
            stored = store.load(key, parts * clip.embed_dim)
            if stored is not None:
                return stored.to(device)
        with full_precision(device):
            embeds = learner(clip.text, vocabulary, [task])[0]
        if store is not None:
            store.save(key, embeds)
        return embeds

    def _digest(self, learner: PromptLearner) -> str:
        """The learner's digest, computed again only when it may differ."""
        state = learner_state(learner)
        known = self._digests.get(id(learner))
        # the id of a learner that is gone may be another's now
        if known is None or known[0] is not learner or known[1] != state:
            known = (learner, state, learner_digest(learner))
            self._digests[id(learner)] = known
        return known[2]
