"""Tune the class prompt on a batch of test images (Sec. 3.4)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.models.layers import max_over_synonyms
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.full_precision import full_precision

from .objective import (
    PromptTuning,
    entropy_step,
    is_confident,
    unseen_log_scores,
)


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
        prompt_to_class: Sequence[int],
        unseen: Tensor,
        columns: str,
    ) -> Tensor:
        """Score the queries with another text of the unseen classes.

        Args:
            text_embeds: Unit-norm, of the unseen classes' names, (T, P, D).
            prompt_to_class: Which of the N_u unseen classes each name
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
        logits = max_over_synonyms(self.scale * cosine, prompt_to_class)
        return unseen_log_scores(
            self.logits.index_copy(1, unseen, logits), unseen, columns
        )


@dataclass
class TuningCounts:
    """What has been tuned since :meth:`PromptTuner.reset`.

    Attributes:
        batches: Batches that were looked at.
        tuned: Batches that had a confident query.
        queries: Confident queries of all batches.
    """

    batches: int = 0
    tuned: int = 0
    queries: int = 0


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
        learner: The learner that will be tuned, to check that it can be.

    Attributes:
        settings: How to tune.
        counts: What has been tuned.

    Raises:
        TypeError: If the learner has no class prompt.
    """

    def __init__(self, settings: PromptTuning, learner: PromptLearner) -> None:
        prompt = getattr(learner, 'class_prompt', None)
        if not isinstance(prompt, nn.Parameter) or prompt.numel() == 0:
            raise TypeError(
                f'prompt_tuning needs a learned class prompt, and '
                f'{type(learner).__name__} has none; set '
                'model.test_cfg.prompt_tuning.steps to 0, or take an '
                'AdaptivePromptLearner with num_class_tokens of at least 1'
            )
        self.settings = settings
        self.counts = TuningCounts()
        self._kept: _TunedCopy | None = None

    def reset(self) -> None:
        """Forget what online tuning has learned, and all counts."""
        self._kept = None
        self.counts = TuningCounts()

    def tune(
        self,
        sources: Callable[[], Sequence[ScoredQueries]],
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
            sources: Computes the batch's queries, once for each source of
                scores; not asked if no class is unseen.
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
        scored = sources()
        device = text_embeds.device
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            full_precision(device),
        ):
            places = torch.tensor(unseen, device=device)
            chosen = [
                ConfidentQueries.among(
                    queries, places, len(vocabulary), self.settings
                )
                for queries in scored
            ]
            chosen = [queries for queries in chosen if len(queries)]
            if not chosen:
                return None
            self.counts.tuned += 1
            self.counts.queries += sum(map(len, chosen))
            words = vocabulary.subset(unseen, f'{vocabulary.name}/unseen')
            embeds = self._run(
                chosen,
                self._copy_of(learner),
                lambda tuned: tuned(text_tower, words, tasks),
                words.prompt_to_class,
                places,
            )
        rows = torch.tensor(
            [not vocabulary.is_seen[c] for c in vocabulary.prompt_to_class],
            device=device,
        )
        return text_embeds.masked_scatter(rows[:, None], embeds)

    def _run(
        self,
        chosen: Sequence[ConfidentQueries],
        tuned: '_TunedCopy',
        read: Callable[[PromptLearner], Tensor],
        prompt_to_class: Sequence[int],
        unseen: Tensor,
    ) -> Tensor:
        """Take all steps; the unseen names' embeddings after them."""

        def log_scores() -> Tensor:
            text = read(tuned.learner)
            return torch.cat(
                [
                    queries.log_scores(
                        text,
                        prompt_to_class,
                        unseen,
                        self.settings.columns,
                    )
                    for queries in chosen
                ]
            )

        for _ in range(self.settings.steps):
            entropy_step(log_scores, tuned.optimizer)
        with torch.no_grad():
            return read(tuned.learner)

    def _copy_of(self, learner: PromptLearner) -> '_TunedCopy':
        """What to tune: a new copy, or online the one of the last batch."""
        if self._kept is not None:
            return self._kept
        tuned = _TunedCopy.of(learner, self.settings)
        if self.settings.online:
            self._kept = tuned
        return tuned


@dataclass(frozen=True)
class _TunedCopy:
    learner: PromptLearner
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(
        cls, learner: PromptLearner, settings: PromptTuning
    ) -> '_TunedCopy':
        twin = copy.deepcopy(learner).requires_grad_(False)
        prompt = twin.class_prompt.requires_grad_(True)
        return cls(twin, settings.make_optimizer(prompt))
