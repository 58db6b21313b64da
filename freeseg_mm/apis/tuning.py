"""Test-time prompt tuning (Sec. 3.4), as a call asks for it."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeAlias

from freeseg_mm.models.prompt_tuning import PromptTuner, PromptTuning
from freeseg_mm.models.segmentors import FreeSeg

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
