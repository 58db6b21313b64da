"""Tune the class prompt on a batch of test images (Sec. 3.4)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.models.layers import max_over_synonyms
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.scopes import full_precision

from .objective import (
    PromptTuning,
    entropy_step,
    is_confident,
    unseen_log_scores,
)


@dataclass(frozen=True)
class ScoredQueries:
    """All queries of a batch as one source scores them.

    Attributes:
        embeds: Unit-norm, in the space of the text embeddings, (B, T or 1,
            N, D).
        logits: Class logits with the prompt as it was trained, (B, T, N,
            C) or (B, T, N, C + 1) with no-object last.
        scale: Factor of the cosine in logits, a scalar.
        wanted: Queries that may be chosen, (B, T, N), bool.
    """

    embeds: Tensor
    logits: Tensor
    scale: Tensor | float
    wanted: Tensor


@dataclass(frozen=True)
class ConfidentQueries:
    """The K queries of a source that tuning makes more certain.

    Attributes:
        embeds: (K, D).
        scale: Factor of the cosine in logits, a scalar.
        tasks: Index of the task each was made for, of T, (K,), int64.
    """

    embeds: Tensor
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
            unseen: Indices of the unseen classes, (N_u,), at least one.
            num_classes: C; a further column of logits is no-object.
            settings: ``threshold`` and ``unseen_first``.
        """
        logits = queries.logits.float()
        chosen = queries.wanted & is_confident(
            unseen_log_scores(logits, unseen), settings.threshold
        )
        if settings.unseen_first:
            best = logits[..., :num_classes].argmax(-1)
            chosen = chosen & torch.isin(best, unseen)
        images, tasks, places = chosen.nonzero(as_tuple=True)
        embeds = queries.embeds.expand(*chosen.shape, -1)
        return cls(
            embeds=embeds[images, tasks, places].float(),
            # a copy: the step's graph takes no tensor of inference_mode
            scale=torch.as_tensor(queries.scale).clone(),
            tasks=tasks,
        )

    def log_scores(
        self, text_embeds: Tensor, prompt_to_class: Sequence[int]
    ) -> Tensor:
        """Score the queries with another text of the unseen classes.

        Args:
            text_embeds: Unit-norm, of the unseen classes' names, (T, P, D).
            prompt_to_class: Index of each name's class among the N_u unseen
                ones, ascending.

        Returns:
            log s, (K, N_u).
        """
        cosine = (self.embeds @ text_embeds.mT)[  # (T, K, P)
            self.tasks, torch.arange(len(self), device=self.tasks.device)
        ]
        logits = max_over_synonyms(self.scale * cosine, prompt_to_class)
        return logits.log_softmax(-1)


@dataclass
class TuningCounts:
    """Batches and queries tuned since :meth:`PromptTuner.reset`.

    Attributes:
        batches: Batches that were looked at.
        tuned: Batches that had a confident query.
        queries: Confident queries of all batches.
    """

    batches: int = 0
    tuned: int = 0
    queries: int = 0


@dataclass(frozen=True)
class _TunedCopy:
    learner: PromptLearner
    optimizer: torch.optim.Optimizer


class PromptTuner:
    """Make confident queries more certain which unseen class they show.

    A copy of the prompt learner is tuned, so the learner itself, its
    checkpoints and all that is cached of it stay as they are, whatever
    happens. Of the copy only ``class_prompt`` changes, and only unseen
    names are read with it: embeddings of seen ones stay as trained.

    Works on what one process sees; where several test, each tunes on its
    own batches.

    Args:
        settings: How to tune.

    Attributes:
        settings: How to tune.
        counts: What has been tuned.
    """

    def __init__(self, settings: PromptTuning) -> None:
        self.settings = settings
        self.counts = TuningCounts()
        self._kept: _TunedCopy | None = None

    def reset(self) -> None:
        """Forget what online tuning has learned, and all counts."""
        self._kept = None
        self.counts = TuningCounts()

    @staticmethod
    def check(learner: PromptLearner) -> None:
        """Refuse a learner that has nothing to tune.

        Raises:
            TypeError: If it has no class prompt.
        """
        prompt = getattr(learner, 'class_prompt', None)
        if not isinstance(prompt, nn.Parameter) or prompt.numel() == 0:
            raise TypeError(
                f'prompt_tuning needs a learned class prompt, and '
                f'{type(learner).__name__} has none; set '
                'model.test_cfg.prompt_tuning.steps to 0, or take an '
                'AdaptivePromptLearner with num_class_tokens of at least 1'
            )

    def tune(
        self,
        sources: Sequence[ScoredQueries],
        learner: PromptLearner,
        text_tower: TextTower,
        text_embeds: Tensor,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> Tensor | None:
        """Text embeddings that suit a batch better.

        Gradients are computed in full precision, whatever mode the caller
        is in: ``no_grad``, ``inference_mode`` or autocast.

        Args:
            sources: The batch's queries, once for each source of scores.
            learner: The prompt learner; it is not changed.
            text_tower: CLIP's text tower.
            text_embeds: What the learner makes of the vocabulary, (T, P,
                D).
            vocabulary: The classes.
            tasks: The T tasks.

        Returns:
            (T, P, D), with rows of unseen classes read anew, or ``None``
            if there is nothing to tune: no unseen class or no confident
            query.
        """
        self.counts.batches += 1
        unseen = [i for i, seen in enumerate(vocabulary.is_seen) if not seen]
        if not unseen:
            return None
        device = text_embeds.device
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            full_precision(device),
        ):
            indices = torch.tensor(unseen, device=device)
            chosen = [
                ConfidentQueries.among(
                    queries, indices, len(vocabulary), self.settings
                )
                for queries in sources
            ]
            chosen = [queries for queries in chosen if len(queries)]
            if not chosen:
                return None
            self.counts.tuned += 1
            self.counts.queries += sum(map(len, chosen))
            names = vocabulary.subset(unseen, f'{vocabulary.name}/unseen')
            tuned = self._copy_of(learner)
            for _ in range(self.settings.steps):
                text = tuned.learner(text_tower, names, tasks)
                log_scores = torch.cat(
                    [
                        queries.log_scores(text, names.prompt_to_class)
                        for queries in chosen
                    ]
                )
                entropy_step(log_scores, tuned.optimizer)
            with torch.no_grad():
                embeds = tuned.learner(text_tower, names, tasks)
        rows = torch.tensor(
            [not vocabulary.is_seen[c] for c in vocabulary.prompt_to_class],
            device=device,
        )
        return text_embeds.masked_scatter(rows[:, None], embeds)

    def _copy_of(self, learner: PromptLearner) -> _TunedCopy:
        """A new copy to tune, or online the one of the last batch."""
        if self._kept is not None:
            return self._kept
        twin = copy.deepcopy(learner).requires_grad_(False)
        prompt = twin.class_prompt.requires_grad_(True)
        tuned = _TunedCopy(
            twin, torch.optim.Adam([prompt], lr=self.settings.learning_rate)
        )
        if self.settings.online:
            self._kept = tuned
        return tuned
