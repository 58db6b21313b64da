"""What prompt tuning (Sec. 3.4) needs to know of a FreeSeg's prediction."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from mmdet.utils import OptConfigType
from torch import Tensor

from freeseg_mm.models.layers import CosineClassifier
from freeseg_mm.models.prompt_tuning import (
    PromptTuner,
    PromptTuning,
    ScoredQueries,
)
from freeseg_mm.models.prompts import PromptLearner

from .batch import Proposals, refuse_unknown


@dataclass(frozen=True)
class ClipSource:
    """CLIP as a source of scores; it is asked only if they are wanted.

    Attributes:
        view: Shows CLIP the masks: unit-norm embeddings, (B, T or 1, N, D),
            and which are of any use, (B, T or 1, N), bool.
        compare: Logits of such embeddings, (B, T, N, C).
        scale: Factor of the cosine in these.
    """

    view: Callable[[], tuple[Tensor, Tensor]]
    compare: Callable[[Tensor], Tensor]
    scale: float


def make_tuner(
    settings: OptConfigType, learner: PromptLearner, has_clip_scores: bool
) -> PromptTuner | None:
    """Build what tunes the prompts of a model, or nothing if that is off.

    Args:
        settings: Arguments of :class:`PromptTuning`; ``None``, or 0
            ``steps``: off.
        learner: The prompts.
        has_clip_scores: Whether the model has a ``mask_classifier``.

    Raises:
        TypeError: See :meth:`FreeSeg.tune_prompts`.
        ValueError: See :meth:`FreeSeg.tune_prompts`.
    """
    refuse_unknown(
        'test_cfg.prompt_tuning',
        settings,
        [field.name for field in fields(PromptTuning)],
    )
    if settings is None:
        return None
    tuning = PromptTuning(**settings)
    if tuning.steps == 0:
        return None
    if tuning.source != 'query' and not has_clip_scores:
        raise ValueError(
            f'prompt_tuning.source={tuning.source!r} needs a '
            "mask_classifier; without one set it to 'query'"
        )
    return PromptTuner(tuning, learner)


def scored_sources(
    source: str,
    found: Proposals,
    classifier: CosineClassifier,
    clip: ClipSource,
) -> list[ScoredQueries]:
    """The queries of a batch, once for each source of scores.

    Args:
        source: :attr:`PromptTuning.source`.
        found: The batch's queries, scored with the prompt as trained.
        classifier: What scored them.
        clip: CLIP's scores of their masks.
    """
    sources = []
    if source != 'clip':
        sources.append(
            ScoredQueries(
                embeds=classifier.embed(found.query_feats.float()),
                logits=found.query_logits,
                scale=classifier.log_temperature.exp(),
                wanted=found.is_relevant,
            )
        )
    if source != 'query':
        embeds, valid = clip.view()
        sources.append(
            ScoredQueries(
                embeds=embeds,
                logits=clip.compare(embeds),
                scale=clip.scale,
                wanted=found.is_relevant & valid,
            )
        )
    return sources
