"""From the fields of the page to what the inferencer is asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from freeseg_mm.apis.thresholds import Thresholds
from freeseg_mm.apis.words import SYNONYM_MARK
from freeseg_mm.structures import Task

from .limits import Limits

NO_THINGS = '-'
"""Written for things where there are none."""


@dataclass(frozen=True)
class Form:
    """The fields as a user left them.

    Attributes:
        image: The uploaded file, ``None`` without one.
        words: Commas or line breaks between classes, ``|`` between synonyms.
        things: Those that are countable; empty to have them looked up,
            :data:`NO_THINGS` for none.
        tasks: Names of tasks.
        score_thr: Least score of an instance.
    """

    image: str | None
    words: str
    things: str = ''
    tasks: Sequence[str] = tuple(task.value for task in Task)
    score_thr: float = 0.3


@dataclass(frozen=True)
class Request:
    """A form that can be answered.

    Attributes:
        image: The file.
        words: One entry a class, with its synonyms.
        things: Names of the countable ones, ``None`` to have them looked up.
        tasks: At least one.
        thresholds: Of this request.
    """

    image: Path
    words: tuple[str, ...]
    things: tuple[str, ...] | None
    tasks: tuple[Task, ...]
    thresholds: Thresholds


def read_form(form: Form, limits: Limits) -> Request:
    """Check the fields, the cheapest first; the image is not decoded.

    Raises:
        ValueError: If something is missing, unknown or too large; the
            message tells the user what to do.
    """
    if not form.image:
        raise ValueError('no image: drop one into the field, or choose a file')
    words = split_words(form.words or '')
    if not words:
        raise ValueError(
            'no words: write what to look for, as cat|kitten, dog, grass'
        )
    things = _read_things(form.things or '', words)
    if not form.tasks:
        raise ValueError('no task: tick at least one')
    tasks = Task.parse_many(form.tasks)
    thresholds = Thresholds(score_thr=form.score_thr)
    path = Path(form.image)
    if not path.is_file():
        raise ValueError(
            f'{path.name} is no longer kept here: choose the image again'
        )
    limits.check(path)
    return Request(path, words, things, tasks, thresholds)


def split_words(text: str) -> tuple[str, ...]:
    """Split at commas and line breaks; a comma too many does no harm."""
    parts = (part.strip() for part in re.split(r'[,\n]', text))
    return tuple(part for part in parts if part)


def _read_things(text: str, words: Sequence[str]) -> tuple[str, ...] | None:
    if text.strip() == NO_THINGS:
        return ()
    # 'cat|kitten' is as good as 'cat': both name the class
    things = [_class_name(word) for word in split_words(text)]
    if not things:
        return None
    names = [_class_name(word) for word in words]
    unknown = [name for name in things if name not in names]
    if unknown:
        raise ValueError(
            f'marked as things, but not among the words: '
            f'{", ".join(unknown)}; the words are {", ".join(names)}'
        )
    return tuple(dict.fromkeys(things))


def _class_name(word: str) -> str:
    return word.split(SYNONYM_MARK)[0].strip()
