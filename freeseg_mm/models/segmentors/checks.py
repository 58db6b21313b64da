"""Settings that a model refuses, before they cost anything."""

from collections.abc import Sequence
from typing import Any

from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.utils.errors import is_number, require_whole


def check_preprocessor(preprocessor: Any) -> None:
    """Refuse numbers that would leave nothing of an image.

    Raises:
        ValueError: Naming them.
    """
    mean: Any = getattr(preprocessor, 'mean', None)
    std: Any = getattr(preprocessor, 'std', None)
    if (
        std is not None
        and not (mean.isfinite() & std.isfinite() & (std > 0)).all()
    ):
        raise ValueError(
            'model.data_preprocessor: expected numbers as mean, and std over '
            f'0, got {mean.flatten().tolist()} and {std.flatten().tolist()}'
        )
    require_whole(
        'model.data_preprocessor.pad_size_divisor',
        getattr(preprocessor, 'pad_size_divisor', 1),
        1,
    )


def check_clip_loss(
    weight: Any, learner: PromptLearner, *, has_view: bool, reads_it: bool
) -> None:
    """Refuse a loss of CLIP's view that would teach nothing.

    Args:
        weight: ``train_cfg.clip_loss_weight``.
        learner: The prompts that it would teach.
        has_view: Whether there is a ``mask_classifier``.
        reads_it: Whether CLIP's view is compared with these prompts.

    Raises:
        ValueError: Saying why, and what to change.
    """
    name = 'model.train_cfg.clip_loss_weight'
    if not is_number(weight) or weight < 0:
        raise ValueError(f'{name}: expected a number from 0, got {weight!r}')
    if weight == 0:
        return
    if not has_view:
        raise ValueError(f'{name}={weight} needs a mask_classifier')
    if not reads_it:
        raise ValueError(
            f"{name}={weight} would teach prompts that CLIP's view is not "
            'compared with; set model.clip_prompt to None'
        )
    if not learner.learns:
        raise ValueError(
            f'{name}={weight} would have no effect: {type(learner).__name__} '
            'learns nothing here; take an AdaptivePromptLearner that is not '
            'frozen, or set the weight to 0'
        )


def check_prediction(
    options: PredictOptions,
    learners: Sequence[PromptLearner],
    *,
    has_view: bool,
    compares: bool,
) -> None:
    """Refuse options that ask for parts that the model does not have.

    Args:
        options: Of a prediction.
        learners: The queries' prompts, and CLIP's if these are others.
        has_view: Whether there is a ``mask_classifier``.
        compares: Whether queries are compared with text.

    Raises:
        TypeError: See :meth:`FreeSeg.check_options`.
        ValueError: See there.
    """
    if options.templates is not None:
        for learner in learners:
            learner.reworded(options.templates)
    tuner = options.tuner
    source = 'query' if tuner is None else tuner.settings.source
    if tuner is not None:
        tuner.check(learners[0])
        if source != 'clip' and not compares:
            raise ValueError(
                f'prompt_tuning.source={source!r} needs queries that are '
                "compared with text; with closed_vocabulary set it to 'clip'"
            )
    if has_view:
        return
    if options.mode != 'query':
        raise ValueError(
            f'ensemble mode {options.mode!r} needs a mask_classifier; '
            "without one set the mode to 'query'"
        )
    if source != 'query':
        raise ValueError(
            f'prompt_tuning.source={source!r} needs a mask_classifier; '
            "without one set it to 'query'"
        )
