"""Text embeddings that need not be encoded again."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.full_precision import full_precision

from .text_key import TextKey, learner_digest, learner_state
from .text_store import TextStore

MAX_ENTRIES = 64


class TextCache:
    """Embeddings by content (:class:`TextKey`), in memory and on disk.

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
                if len(self._entries) > MAX_ENTRIES:
                    self._entries.popitem(last=False)
            rows.append(self._entries[key, device])
        return torch.stack(rows)

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
            stored = store.load(key, clip.embed_dim)
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
