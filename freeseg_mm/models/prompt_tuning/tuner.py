"""Tune the class prompt on a batch of test images (Sec. 3.4)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.full_precision import full_precision

from .objective import entropy_step
from .samples import ConfidentQueries, ScoredQueries
from .settings import PromptTuning


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
                words.class_of_prompt,
                places,
            )
        rows = torch.tensor(
            [not vocabulary.is_seen[c] for c in vocabulary.class_of_prompt],
            device=device,
        )
        return text_embeds.masked_scatter(rows[:, None], embeds)

    def _run(
        self,
        chosen: Sequence[ConfidentQueries],
        tuned: '_TunedCopy',
        read: Callable[[PromptLearner], Tensor],
        class_of_prompt: Sequence[int],
        unseen: Tensor,
    ) -> Tensor:
        """Take all steps; the unseen names' embeddings after them."""

        def log_scores() -> Tensor:
            text = read(tuned.learner)
            return torch.cat(
                [
                    queries.log_scores(
                        text,
                        class_of_prompt,
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
