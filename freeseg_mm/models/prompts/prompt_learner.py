"""What every way of writing prompts has in common (Sec. 3.2)."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.structures import Task, Vocabulary


class PromptLearner(BaseModule, metaclass=ABCMeta):
    """Turns category names and tasks into text embeddings F_t (Eq. 6)."""

    def forward(
        self,
        text_tower: TextTower,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> Tensor:
        """Encode every name for every task.

        Args:
            text_tower: CLIP's frozen text tower.
            vocabulary: The names, synonyms included: P texts.
            tasks: The tasks asked for, T of them.

        Returns:
            Unit-norm text embeddings, (T, P, D), float32; row p belongs to
            class ``vocabulary.class_of_prompt[p]``.

        Raises:
            ValueError: If a name is too long for CLIP's context.
        """
        self.check_lengths(text_tower, vocabulary, tasks)
        return torch.stack(
            [
                self.encode_task(text_tower, vocabulary.prompts, task)
                for task in tasks
            ]
        )

    @abstractmethod
    def encode_task(
        self, text_tower: TextTower, prompts: Sequence[str], task: Task
    ) -> Tensor:
        """Encode the names for one task, (P, D)."""

    @abstractmethod
    def prompt_length(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> int:
        """Tokens the prompt of one name takes, start and end included."""

    def check_lengths(
        self,
        text_tower: TextTower,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> None:
        """Refuse names that do not fit into CLIP's context.

        Raises:
            ValueError: If a prompt is too long; the message has the name.
        """
        limit = text_tower.context_length
        for task in tasks:
            for prompt in vocabulary.prompts:
                length = self.prompt_length(text_tower, prompt, task)
                if length > limit:
                    raise ValueError(
                        f'vocabulary {vocabulary.name!r}: the {task.value} '
                        f'prompt of {prompt!r} takes {length} tokens, CLIP '
                        f'reads {limit}; shorten the name by '
                        f'{length - limit} tokens'
                    )


def encode_suffixes(
    text_tower: TextTower, prefix: Tensor, suffixes: Sequence[tuple[int, ...]]
) -> Tensor:
    """Encode prompts that share their beginning.

    Args:
        text_tower: CLIP's text tower.
        prefix: Token embeddings all prompts begin with, (L, width).
        suffixes: What follows in each prompt, P token id lists, each
            ending with the end token.

    Returns:
        Unit-norm embeddings, (P, D).
    """
    longest = max(len(ids) for ids in suffixes)
    padded = torch.tensor(
        [[*ids, *[0] * (longest - len(ids))] for ids in suffixes],
        device=text_tower.device,
    )
    end = torch.tensor(
        [len(prefix) + len(ids) - 1 for ids in suffixes],
        device=text_tower.device,
    )
    embeddings = torch.cat(
        [
            prefix.expand(len(suffixes), *prefix.shape),
            text_tower.embed_tokens(padded),
        ],
        dim=1,
    )
    return text_tower.encode(embeddings, end)
