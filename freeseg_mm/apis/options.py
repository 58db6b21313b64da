"""What a call may ask of the post-processing, for itself alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from freeseg_mm.models.prompt_tuning import PromptTuner, PromptTuning
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


TuningChoice: TypeAlias = bool | int | Mapping[str, Any] | PromptTuning | None


def tuning_settings(
    choice: TuningChoice, configured: Mapping[str, Any] | None
) -> PromptTuning | None:
    """What a choice stands for.

    Args:
        choice: ``True`` or ``False``, a number of steps, settings by name,
            or all of them. ``None`` is what the config says.
        configured: ``test_cfg.prompt_tuning``. It also says what a choice
            leaves open, before :class:`PromptTuning` does.

    Returns:
        The settings, ``None`` for no tuning.

    Raises:
        TypeError: If the choice is of another type, or a name is unknown.
        ValueError: If a value is out of range.
    """
    if isinstance(choice, PromptTuning):
        choice = asdict(choice)
    given = dict(configured or {'steps': 0})
    if choice is not None and given.get('steps') == 0:
        del given['steps']  # that it is off does not say how many there are
    if isinstance(choice, bool):
        if not choice:
            return None
    elif isinstance(choice, int):
        given['steps'] = choice
    elif isinstance(choice, Mapping):
        known = [field.name for field in fields(PromptTuning)]
        unknown = sorted(set(choice) - set(known))
        if unknown:
            raise TypeError(
                f'prompt_tuning has no settings {unknown}; known are {known}'
            )
        given.update(choice)
    elif choice is not None:
        raise TypeError(
            'prompt_tuning: expected True, False, a number of steps or a '
            f'dictionary of settings, got {choice!r}'
        )
    settings = PromptTuning(**given)
    return settings if settings.steps else None


def new_tuner(
    model: FreeSeg, settings: PromptTuning | None
) -> PromptTuner | None:
    """A tuner that has learned nothing yet; the model keeps its own.

    Raises:
        TypeError: If the model has no class prompt to tune.
        ValueError: If CLIP's scores shall be tuned and the model has none.
    """
    usual = model.prompt_tuner
    try:
        model.tune_prompts(None if settings is None else asdict(settings))
        return model.prompt_tuner
    finally:
        model.prompt_tuner = usual


def tuning_note(tuner: PromptTuner, queries_before: int) -> str:
    """What tuning did to a batch, for the notes of its results.

    Args:
        tuner: After the batch.
        queries_before: ``tuner.counts.queries`` before the batch.
    """
    queries = tuner.counts.queries - queries_before
    if queries:
        return f'prompt tuned on {queries} confident queries'
    return 'prompt not tuned: no confident query of an unseen class'
