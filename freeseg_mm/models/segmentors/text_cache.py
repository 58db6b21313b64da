"""Text embeddings that need not be encoded again."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from freeseg_mm.models.clip import TextTower
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary

MAX_ENTRIES = 64


class TextCache:
    """Embeddings by (prompt parameters, device, task, names), in memory.

    A parameter counts as changed once PyTorch has seen an in-place change
    of it; :meth:`clear` covers swaps behind PyTorch's back (EMA).
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple, Tensor] = OrderedDict()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    @torch.no_grad()
    def encode(
        self,
        learner: PromptLearner,
        text_tower: TextTower,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> Tensor:
        """Same as ``learner(text_tower, vocabulary, tasks)``, (T, P, D)."""
        # fixed prompts have no parameters that would tell the device
        state = (text_tower.device, *_state(learner))
        rows = []
        for task in tasks:
            key = (id(learner), state, task, vocabulary.prompts)
            if key not in self._entries:
                self._entries[key] = learner(text_tower, vocabulary, [task])
                if len(self._entries) > MAX_ENTRIES:
                    self._entries.popitem(last=False)
            rows.append(self._entries[key])
        return torch.cat(rows)


def _state(learner: nn.Module) -> tuple:
    return tuple(
        (value.data_ptr(), value._version, value.device, value.dtype)
        for value in learner.parameters()
    )
