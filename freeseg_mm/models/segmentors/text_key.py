"""What text embeddings depend on, as plain strings."""

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import chain

import torch
from torch import Tensor

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task
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
