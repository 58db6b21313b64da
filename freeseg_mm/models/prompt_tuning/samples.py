"""The confident queries of a batch, whoever scored them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from freeseg_mm.models.layers import best_of_prompts

from .objective import is_confident, unseen_log_scores
from .settings import PromptTuning


@dataclass(frozen=True)
class ScoredQueries:
    """All queries of a batch as one source sees them.

    Attributes:
        embeds: Unit-norm, in the space of the text embeddings, (B, T or 1,
            N, D).
        logits: Class logits with the prompt as it was trained, (B, T, N,
            C) or (B, T, N, C + 1) with no-object last.
        scale: Factor of the cosine in logits, a scalar.
        wanted: Which queries may be chosen, (B, T, N), bool.
    """

    embeds: Tensor
    logits: Tensor
    scale: Tensor | float
    wanted: Tensor


def which_are_confident(
    logits: Tensor, unseen: Tensor, num_classes: int, settings: PromptTuning
) -> Tensor:
    """Which queries are sure of an unseen class (Sec. 3.4).

    Args:
        logits: Class logits, (S, C) or (S, C + 1) with no-object last.
        unseen: Indices of the unseen classes, (N_u,), at least one.
        num_classes: C; a further column of logits is no-object.
        settings: ``threshold``, ``columns`` and ``unseen_first``.

    Returns:
        (S), bool.
    """
    confident = is_confident(
        unseen_log_scores(logits, unseen, settings.columns),
        settings.threshold,
    )
    if settings.unseen_first:
        best = logits[..., :num_classes].argmax(-1)
        confident = confident & torch.isin(best, unseen)
    return confident


@dataclass(frozen=True)
class ConfidentQueries:
    """The K queries of a source that tuning makes more certain.

    Attributes:
        embeds: (K, D).
        logits: As trained, (K, C) or (K, C + 1).
        scale: A scalar.
        tasks: Which of the T tasks each was made for, (K,), int64.
    """

    embeds: Tensor
    logits: Tensor
    scale: Tensor
    tasks: Tensor

    def __len__(self) -> int:
        return len(self.embeds)

    @classmethod
    def among(
        cls,
        queries: ScoredQueries,
        unseen: Tensor,
        num_classes: int,
        settings: PromptTuning,
    ) -> 'ConfidentQueries':
        """Take S_u* = S_u[entro < tau] out of a batch (Sec. 3.4).

        Args:
            queries: Of one source.
            unseen: See :func:`which_are_confident`.
            num_classes: See there.
            settings: See there.
        """
        logits = queries.logits.float()
        chosen = queries.wanted & which_are_confident(
            logits, unseen, num_classes, settings
        )
        images, tasks, places = chosen.nonzero(as_tuple=True)
        embeds = queries.embeds.expand(*chosen.shape, -1)
        return cls(
            embeds=embeds[images, tasks, places].float(),
            logits=logits[images, tasks, places],
            # a copy: the step's graph takes no tensor of inference_mode
            scale=torch.as_tensor(queries.scale).clone(),
            tasks=tasks,
        )

    def log_scores(
        self,
        text_embeds: Tensor,
        class_of_prompt: Sequence[int],
        unseen: Tensor,
        columns: str,
    ) -> Tensor:
        """Score the queries with another text of the unseen classes.

        Args:
            text_embeds: Unit-norm, of the unseen classes' names, (T, P, D).
            class_of_prompt: Which of the N_u unseen classes each name
                belongs to, ascending.
            unseen: Index of each among the C classes, (N_u,).
            columns: See :func:`unseen_log_scores`; the logits of all other
                columns stay as trained.

        Returns:
            log s, (K, N_u).
        """
        cosine = (self.embeds @ text_embeds.mT)[  # (T, K, P)
            self.tasks, torch.arange(len(self), device=self.tasks.device)
        ]
        logits = best_of_prompts(self.scale * cosine, class_of_prompt)
        return unseen_log_scores(
            self.logits.index_copy(1, unseen, logits), unseen, columns
        )
