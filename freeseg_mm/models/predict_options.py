"""Options of one prediction: tasks, ensemble, thresholds, prompt tuning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

from torch import Tensor
from typing_extensions import TypedDict

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.errors import require_share, require_whole
from freeseg_mm.utils.names import normal_name, shown

from .clip.text_tower import read_templates
from .prompt_tuning import PromptTuner, PromptTuning

ENSEMBLE_MODES = ('geometric', 'arithmetic', 'query', 'clip', 'released')
PANOPTIC_RULES = ('score', 'no_object', 'released')
OVERLAP_PIXELS = ('inside', 'won')
INSTANCE_RANKINGS = ('things', 'all_classes', 'released')
EMPTY_MASKS = ('drop', 'query', 'ones')
RESIZED = ('masks', 'results')
_CHOICES = {
    'panoptic_rule': PANOPTIC_RULES,
    'overlap_pixels': OVERLAP_PIXELS,
    'instance_ranking': INSTANCE_RANKINGS,
    'empty_masks': EMPTY_MASKS,
    'resized': RESIZED,
}
_OF_ENSEMBLE = ('mode', 'seen_weight', 'unseen_weight', 'clip_trust')
_SHARES = (
    'seen_weight',
    'unseen_weight',
    'clip_trust',
    'min_object_prob',
    'overlap_thr',
)
CLASS_THRESHOLDS = ('score_thr', 'object_score_thr', 'pixel_score_thr')
"""Options that may differ from class to class."""
OTHERS = '*'
"""Stands for all classes that a mapping does not name."""


@dataclass(frozen=True, eq=False)
class ClassExample:
    """A class that CLIP's view knows by images.

    Attributes:
        name: Of the class.
        embeds: CLIP's embedding of the images, unit-norm, (D,).
        text_weight: Share of the name's own score, in [0, 1].
    """

    name: str
    embeds: Tensor
    text_weight: float


Threshold: TypeAlias = float | Mapping[str, float]
TuningChoice: TypeAlias = bool | int | Mapping[str, Any] | PromptTuning


def refuse_unknown(
    name: str, given: Iterable[str], known: Sequence[str]
) -> None:
    """Refuse keys that would have no effect.

    Args:
        name: Of what has the keys.
        given: Its keys.
        known: The keys it may have.

    Raises:
        TypeError: If it has another.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise TypeError(
            f'{name} has unknown keys {unknown}; known are {list(known)}'
        )


class PredictOverrides(TypedDict, total=False):
    """Keywords of :meth:`PredictOptions.override`; ``None`` changes nothing.

    Attributes: Those of :class:`PredictOptions`; ``prompt_tuning`` may also
    be ``True`` or ``False``, a number of steps or settings by name.
    """

    tasks: str | Iterable[str] | None
    mode: str | None
    seen_weight: float | None
    unseen_weight: float | None
    score_thr: Threshold | None
    max_per_image: int | None
    min_object_prob: float | None
    object_score_thr: Threshold | None
    pixel_score_thr: Threshold | None
    negatives: Vocabulary | Iterable[str] | None
    raw: bool | None
    templates: str | Iterable[str] | None
    overlap_thr: float | None
    clip_trust: float | None
    panoptic_rule: str | None
    overlap_pixels: str | None
    instance_ranking: str | None
    empty_masks: str | None
    aligned_corners: bool | None
    resized: str | None
    prompt_tuning: TuningChoice | None


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Options that hold for one call of ``FreeSeg.predict``.

    Built from ``test_cfg`` by :meth:`from_config`, changed for a call by
    :meth:`override`; immutable, so that threads may share a model.

    A threshold of :data:`CLASS_THRESHOLDS` is a number, or numbers by class
    name, as ``{'cat': 0.6, '*': 0.3}``; ``'*'`` are all other classes. What
    falls below the one of its class is void, not the next best class's.

    Attributes:
        tasks: Tasks that are predicted.
        mode: Combination of query and CLIP scores, one of
            :data:`ENSEMBLE_MODES`; see :func:`ensemble_scores`.
        seen_weight: Weight of the query's score for a seen class, in [0, 1].
        unseen_weight: The same for an unseen class.
        clip_trust: Share w of no-object that CLIP's certainty takes away, in
            [0, 1] (OVRCOAT): it becomes no-object (1 - w max_c CLIP_c).
        score_thr: Least score of an instance, in [0, 1].
        max_per_image: Most instances of an image.
        min_object_prob: Masks that are objects with a lower probability are
            neither shown to CLIP nor counted.
        object_score_thr: Least class probability of a panoptic segment.
        pixel_score_thr: Least score of a pixel that is not void: in the
            semantic result the sum over masks, in the panoptic one that of
            the mask that wins it, of class times mask probability. Of no
            effect on instances.
        negatives: Words that compete with the classes and are not reported:
            where one wins a pixel or a segment, that is void; where one is
            the best of a mask, the mask is no instance. A list of names
            becomes a vocabulary, all of them unseen.
        raw: Whether all scores behind the results are given, too, see
            :class:`RawPrediction`; without it none is kept.
        templates: Sentences in which CLIP reads names, each with one ``{}``,
            or the name of a set of ``TEMPLATE_SETS``, in place of those of a
            :class:`FixedPrompt`; ``None`` leaves the model its own.
        examples: Classes that CLIP's view knows by images, see
            :func:`score_examples`.
        overlap_thr: Least share of its mask that a panoptic segment keeps.
        panoptic_rule: Masks that may become panoptic segments, beside
            ``object_score_thr``: ``score`` asks for nothing else;
            ``no_object`` drops those that are likelier no object than their
            best class (Mask2Former); ``released`` is the rule of
            :func:`released_panoptic`, in which ``object_score_thr`` is of
            sharpened scores and of things alone.
        overlap_pixels: Pixels that count as kept for ``overlap_thr``: those
            ``inside`` the mask, as in mmdet, or all that it has ``won``, as
            in the original Mask2Former.
        instance_ranking: Pairs of mask and class among which the best
            ``max_per_image`` are chosen: those of ``things`` by their score;
            or those of ``all_classes`` by class probability, from which
            stuff is then left out (Mask2Former); ``released`` is the rule
            of :func:`released_instances`, with the same two thresholds.
        empty_masks: Masks that have nothing to show to CLIP: ``drop``, score
            them by the ``query`` alone, or take CLIP's probability as 1 for
            every class (``ones``, as released).
        aligned_corners: Whether masks are enlarged with the centres of their
            corner cells on those of the image's corner pixels (as released).
        resized: What is brought to the original image's size: the ``masks``,
            or the ``results`` of masks at the network's input size (as
            released).
        prompt_tuning: Test-time prompt tuning (Sec. 3.4); off with 0 steps.
        tuner: Tuner with these settings, ``None`` if off. It remembers what
            it did, and online what it learned, for as long as the options
            live; :meth:`override` gives a new one.

    Raises:
        ValueError: If a share is not in [0, 1], ``max_per_image`` is not
            positive, or the mode, a choice or a task is unknown.
    """

    tasks: tuple[Task, ...] = tuple(Task)
    mode: str = 'geometric'
    seen_weight: float = 0.8
    unseen_weight: float = 0.2
    score_thr: Threshold = 0.0
    max_per_image: int = 100
    min_object_prob: float = 0.0
    object_score_thr: Threshold = 0.0
    pixel_score_thr: Threshold = 0.0
    negatives: Vocabulary | None = None
    raw: bool = False
    templates: tuple[str, ...] | None = None
    examples: tuple[ClassExample, ...] = ()
    overlap_thr: float = 0.8
    clip_trust: float = 0.0
    panoptic_rule: str = 'no_object'
    overlap_pixels: str = 'inside'
    instance_ranking: str = 'things'
    empty_masks: str = 'drop'
    aligned_corners: bool = False
    resized: str = 'masks'
    prompt_tuning: PromptTuning = PromptTuning(steps=0)
    tuner: PromptTuner | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in ENSEMBLE_MODES:
            raise ValueError(
                f'ensemble mode {self.mode!r} is none of {ENSEMBLE_MODES}'
            )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f'{name} {getattr(self, name)!r} is none of {known}'
                )
        for name in _SHARES:
            require_share(name, getattr(self, name))
        for name in CLASS_THRESHOLDS:
            by_class = _threshold(name, getattr(self, name), 0.0)
            object.__setattr__(self, name, by_class)
        require_whole('max_per_image', self.max_per_image, 1)
        if self.negatives is not None:
            object.__setattr__(self, 'negatives', _negatives(self.negatives))
        if not isinstance(self.examples, tuple) or not all(
            isinstance(each, ClassExample) for each in self.examples
        ):
            raise TypeError(
                'examples: expected a tuple of ClassExample, got '
                f'{shown(self.examples)}; a call takes images as classes, '
                "[ImageClass('my_logo.png'), 'cat']"
            )
        if self.templates is not None:
            templates = read_templates(self.templates)
            object.__setattr__(self, 'templates', templates)
        tuning = self.prompt_tuning
        tuner = PromptTuner(tuning) if tuning.steps else None
        object.__setattr__(self, 'tuner', tuner)

    @classmethod
    def from_config(cls, test_cfg: Mapping[str, Any]) -> 'PredictOptions':
        """Read a model's ``test_cfg``.

        Args:
            test_cfg: The attributes by name, ``mode``, the weights and
                ``clip_trust`` below ``ensemble``; what it leaves out has its
                default.

        Raises:
            TypeError: If it has a key that would have no effect.
            ValueError: See the class.
        """
        given = dict(test_cfg)
        tuning = given.pop('prompt_tuning', None) or {'steps': 0}
        ensemble = given.pop('ensemble', None) or {}
        for name, settings in (
            ('ensemble', ensemble),
            ('prompt_tuning', tuning),
        ):
            if not isinstance(settings, Mapping):
                raise TypeError(
                    f'model.test_cfg.{name}: expected a dictionary, got '
                    f'{shown(settings)}'
                )
        known = [name for name in _names() if name not in _OF_ENSEMBLE]
        refuse_unknown('model.test_cfg', given, [*known, 'ensemble'])
        refuse_unknown('model.test_cfg.ensemble', ensemble, _OF_ENSEMBLE)
        refuse_unknown(
            'model.test_cfg.prompt_tuning', tuning, _names(PromptTuning)
        )
        if 'tasks' in given:
            given['tasks'] = Task.parse_many(given['tasks'])
        return cls(**given, **ensemble, prompt_tuning=PromptTuning(**tuning))

    def override(self, **changes: Any) -> 'PredictOptions':
        """Options with other values, and a tuner that has learned nothing.

        Args:
            **changes: See :class:`PredictOverrides`. Settings of
                ``prompt_tuning``, and thresholds of classes, that are not
                given keep their value; what is off and switched on by
                ``True`` takes one step.

        Raises:
            TypeError: If there is no such option or setting.
            ValueError: See the class.
        """
        refuse_unknown('the prediction', changes, _names())
        given = {k: v for k, v in changes.items() if v is not None}
        if 'tasks' in given:
            given['tasks'] = Task.parse_many(given['tasks'])
        if 'prompt_tuning' in given:
            given['prompt_tuning'] = _tuning(
                given['prompt_tuning'], self.prompt_tuning
            )
        for name in set(CLASS_THRESHOLDS) & set(given):
            usual = getattr(self, name)
            given[name] = _threshold(name, given[name], usual)
        return replace(self, **given)

    def least(self, name: str, vocabulary: Vocabulary) -> tuple[float, ...]:
        """Spell out a threshold for each of the C classes.

        Args:
            name: Of :data:`CLASS_THRESHOLDS`.
            vocabulary: The classes.

        Raises:
            ValueError: If it is given for a class that is not among them.
        """
        given = getattr(self, name)
        if not isinstance(given, Mapping):
            return (given,) * len(vocabulary)
        unknown = [
            each for each in given if each not in (OTHERS, *vocabulary.names)
        ]
        if unknown:
            raise ValueError(
                f'{name} is given for {shown(unknown)}, which are not among '
                f'the classes {shown(list(vocabulary.names))}'
            )
        return tuple(
            given.get(each, given[OTHERS]) for each in vocabulary.names
        )

    def competing(self, vocabulary: Vocabulary) -> Vocabulary:
        """Classes, then negatives: all that a mask is compared with.

        Args:
            vocabulary: The classes.

        Raises:
            ValueError: If a negative is a class, too, or a threshold is given
                for what is none.
        """
        for name in CLASS_THRESHOLDS:
            self.least(name, vocabulary)
        for example in self.examples:
            vocabulary.index(example.name)
        if self.negatives is None:
            return vocabulary
        classes = {text.lower() for text in vocabulary.prompts}
        both = [x for x in self.negatives.prompts if x.lower() in classes]
        if both:
            raise ValueError(
                f'negatives {both} are classes or synonyms of classes, too; '
                'a word is either looked for or not reported'
            )
        return vocabulary.joined(self.negatives)


def _negatives(words: Any) -> Vocabulary | None:
    """Vocabulary of negatives, none of them a thing; ``None`` of none."""
    if not isinstance(words, Vocabulary):
        if isinstance(words, str) or not isinstance(words, Iterable):
            raise TypeError(
                f'negatives: expected a list of words, got {shown(words)}'
            )
        words = list(words)
        if not words:
            return None
        words = Vocabulary.from_names(words, name='negatives')
    return replace(words, is_thing=(False,) * len(words))


def _threshold(name: str, given: Any, usual: Threshold) -> Threshold:
    """Check a threshold; of classes it leaves out it is as usual."""
    if not isinstance(given, Mapping):
        require_share(name, given)
        return given
    before = usual if isinstance(usual, Mapping) else {OTHERS: usual}
    merged = dict(before)
    for each, value in given.items():
        if not isinstance(each, str):
            raise TypeError(f'{name}: expected class names, got {shown(each)}')
        require_share(f'{name} of {each!r}', value)
        merged[normal_name(each)] = value
    return merged if len(merged) > 1 else merged[OTHERS]


def _tuning(choice: TuningChoice, usual: PromptTuning) -> PromptTuning:
    """Settings that a choice stands for, open ones as usual."""
    if isinstance(choice, PromptTuning):
        return choice
    steps = usual.steps or PromptTuning.steps
    if isinstance(choice, bool):
        return replace(usual, steps=steps if choice else 0)
    if isinstance(choice, int):
        return replace(usual, steps=choice)
    if isinstance(choice, Mapping):
        refuse_unknown('prompt_tuning', choice, _names(PromptTuning))
        return replace(usual, **{'steps': steps, **choice})
    raise TypeError(
        'prompt_tuning: expected True, False, a number of steps or a '
        f'dictionary of settings, got {choice!r}'
    )


def _names(kind: Any = PredictOptions) -> list[str]:
    """Names of a dataclass's arguments."""
    return [entry.name for entry in fields(kind) if entry.init]
