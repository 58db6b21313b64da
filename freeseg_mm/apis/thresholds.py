"""What a call may ask of the post-processing, for itself alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

from freeseg_mm.models.prompt_tuning import PromptTuner
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task

_SHARES = (
    'score_thr',
    'object_score_thr',
    'overlap_thr',
    'min_object_prob',
    'seen_weight',
    'unseen_weight',
)
_OF_ENSEMBLE = ('mode', 'seen_weight', 'unseen_weight')


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of one call; ``None`` is what the config says.

    Attributes:
        score_thr: Least score of an instance mask that is returned, in [0,
            1].
        object_score_thr: Of the panoptic result, see ``FreeSegFusionHead``.
        overlap_thr: Of the panoptic result, see ``FreeSegFusionHead``.
        min_object_prob: Masks less likely to be an object are dropped first.
        max_per_image: Most instance masks.
        mode: How query and CLIP scores are combined: ``geometric``,
            ``arithmetic``, ``query`` or ``clip``.
        seen_weight: Weight of the query's score for a seen class.
        unseen_weight: The same for an unseen class.

    Raises:
        ValueError: If a share is not in [0, 1] or no mask may be returned.
    """

    score_thr: float = 0.3
    object_score_thr: float | None = None
    overlap_thr: float | None = None
    min_object_prob: float | None = None
    max_per_image: int | None = None
    mode: str | None = None
    seen_weight: float | None = None
    unseen_weight: float | None = None

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(
                    f'{name}: expected a number in [0, 1], got {value}'
                )
        if self.max_per_image is not None and self.max_per_image < 1:
            raise ValueError(
                f'max_per_image: expected at least 1, got {self.max_per_image}'
            )


@contextmanager
def for_this_call(
    model: FreeSeg,
    tasks: tuple[Task, ...] | None,
    thresholds: Thresholds,
    tuner: PromptTuner | None,
) -> Iterator[None]:
    """Let a model answer other tasks, by other thresholds, for a while.

    The settings are the model's own: who shares a model between threads has
    to let one in at a time.

    Args:
        model: The model.
        tasks: What is answered; ``None`` for what the config says.
        thresholds: See there.
        tuner: Tunes prompts on each batch; ``None`` for no tuning.

    Raises:
        ValueError: If CLIP's scores are asked for and the model has none.
    """
    owners = (model, model.panoptic_fusion_head)
    usual = [owner.test_cfg for owner in owners]
    usual_tuner = model.prompt_tuner
    changed = deepcopy(model.test_cfg)
    if tasks is not None:
        changed.tasks = [task.value for task in tasks]
    for name, value in vars(thresholds).items():
        if value is None or name == 'score_thr':
            continue
        node = changed.ensemble if name in _OF_ENSEMBLE else changed
        node[name] = value
    if model.mask_classifier is None and changed.ensemble.mode != 'query':
        raise ValueError(
            f'mode {changed.ensemble.mode!r}: the model has no '
            "mask_classifier, so that its only mode is 'query'"
        )
    try:
        for owner in owners:
            owner.test_cfg = changed
        model.prompt_tuner = tuner
        yield
    finally:
        model.prompt_tuner = usual_tuner
        for owner, settings in zip(owners, usual, strict=True):
            owner.test_cfg = settings
