"""Class embeddings without text (first row of Table 4)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary

from .prompt_learner import PromptLearner


@MODELS.register_module()
class ClassEmbedding(PromptLearner):
    """A free vector for each name of one vocabulary; no text is read.

    The vectors are those of a closed-set classifier: names that training
    uses get theirs from the data, the others keep their random start. So
    unseen classes score by chance, which is what the first row of Table 4
    shows; see ``docs/reproduction.md``. The names that the vectors belong
    to have to be known when the model is built.

    Args:
        vocabulary: Built-in name or path, see :meth:`Vocabulary.load`; its
            names and synonyms get a vector each. Training and testing may
            use any of them, in any order, and no others.
        embed_dim: Width D of the embeddings.
    """

    clip_arguments = ('embed_dim',)

    def __init__(
        self, *, vocabulary: str | Vocabulary, embed_dim: int
    ) -> None:
        super().__init__()
        declared = Vocabulary.load(vocabulary)
        self.vocabulary_name = declared.name
        # says to caches which name a row belongs to
        self.vocabulary_hash = declared.content_hash
        self._row_of = {text: row for row, text in enumerate(declared.prompts)}
        self.embedding = nn.Parameter(
            embed_dim**-0.5 * torch.randn(len(self._row_of), embed_dim)
        )

    def encode_task(
        self, text_tower: TextTower, prompts: Sequence[str], task: Task
    ) -> Tensor:
        """Look up the names, (P, D), the same for every task.

        Args:
            text_tower: Not used; the base class's signature.
            prompts: P names.
            task: Not used; without text there is no task prompt.

        Returns:
            Unit-norm embeddings, with gradient.
        """
        rows = [self._row_of[prompt] for prompt in prompts]
        return F.normalize(self.embedding[rows], dim=-1)

    def prompt_length(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> int:
        """No token of a name is read: 0."""
        return 0

    def check_lengths(
        self,
        text_tower: TextTower,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> None:
        """Refuse names without a vector; how long they are is no matter.

        Raises:
            ValueError: If a name is not in the declared vocabulary.
        """
        unknown = [
            text for text in vocabulary.prompts if text not in self._row_of
        ]
        if unknown:
            raise ValueError(
                f'vocabulary {vocabulary.name!r}: {unknown} have no class '
                f'embedding; there is one for each of the '
                f'{len(self._row_of)} names of {self.vocabulary_name!r} '
                'alone, and without text no other name can be read'
            )
