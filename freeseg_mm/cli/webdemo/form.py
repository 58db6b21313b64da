"""Fields of the page, checked for the inferencer."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from freeseg_mm.apis.vocabulary import SYNONYM_MARK
from freeseg_mm.structures import Task
from freeseg_mm.utils.names import normal_name
from freeseg_mm.utils.open_image import open_image
from freeseg_mm.utils.resampling import fitting

_MB = 10**6


@dataclass(frozen=True)
class Limits:
    """Largest file, image and request that the page accepts and keeps.

    Attributes:
        max_upload_mb: Largest file, in megabytes of 10^6 bytes.
        max_side: Longest side of an image in pixels.
        keep_minutes: Age at which uploads and predictions are deleted.
        max_words: Most names, synonyms included.
        max_letters: Longest name.
        max_work: Most pixels (of the image as it is predicted, by
            :data:`PREDICTED_SIDE`) x classes x tasks.
        max_kept_bytes: Most bytes of uploads and predictions that are kept;
            beyond, the oldest are deleted.

    Raises:
        ValueError: If one of them is not positive.
    """

    max_upload_mb: float = 20
    max_side: int = 4096
    keep_minutes: float = 60
    max_words: int = 1000
    max_letters: int = 1000
    max_work: int = 2 * 10**9
    max_kept_bytes: int = 4 * 10**9

    def __post_init__(self) -> None:
        for name in ('max_upload_mb', 'keep_minutes'):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(
                    f'{name}: expected a finite number over 0, got {value}'
                )
        if self.max_side < 1:
            raise ValueError(
                f'max_side: expected at least 1, got {self.max_side}'
            )

    @property
    def max_bytes(self) -> int:
        """Largest file in bytes, at least one."""
        return max(1, round(self.max_upload_mb * _MB))

    def check_words(self, text: str) -> None:
        """Refuse too many or too long names.

        Raises:
            ValueError: Saying how many are too many.
        """
        names = re.split(rf'[,\n{re.escape(SYNONYM_MARK)}]', text)
        if len(names) > self.max_words:
            raise ValueError(
                f'{len(names):,} class names, this page takes up to '
                f'{self.max_words:,}; leave some out'
            )
        longest = max((name.strip() for name in names), key=len)
        if len(longest) > self.max_letters:
            raise ValueError(
                f'the word {longest[:20]!r}... has {len(longest):,} letters, '
                f'this page takes up to {self.max_letters:,}'
            )

    def check(self, path: Path, num_classes: int, num_tasks: int) -> None:
        """Refuse an image that is too large, before it is decoded.

        A file that is no image passes: its reader says what is wrong.

        Args:
            path: The file.
            num_classes: Classes to predict.
            num_tasks: Tasks to predict.

        Raises:
            ValueError: If it has too many bytes or pixels; the message has
                the name without the folder.
        """
        size = path.stat().st_size
        if size > self.max_bytes:
            raise ValueError(
                f'{path.name} has {size / _MB:.1f} MB, this page takes up to '
                f'{self.max_upload_mb:g}; save it smaller'
            )
        try:
            with open_image(path) as image:
                width, height = image.size
        except ValueError as error:
            if isinstance(error.__cause__, Image.DecompressionBombError):
                raise ValueError(
                    f'{path.name} has far more pixels than this page takes, '
                    f'{self.max_side} a side; make it smaller'
                ) from None
            return
        if max(width, height) > self.max_side:
            raise ValueError(
                f'{path.name} has {width} x {height} pixels, this page takes '
                f'up to {self.max_side} a side; make it smaller'
            )
        rows, columns = fitting((height, width), PREDICTED_SIDE)
        work = rows * columns * num_classes * num_tasks
        if work > self.max_work:
            raise ValueError(
                f'{columns} x {rows} pixels x {num_classes} classes x '
                f'{num_tasks} tasks are {work:,}, this page takes up to '
                f'{self.max_work:,}; make the image smaller, or leave classes '
                'or tasks out'
            )


PREDICTED_SIDE = 2048
"""Longer side in pixels at which larger images are predicted."""
NO_THINGS = '-'
"""Text of the things field that makes all classes stuff."""


@dataclass(frozen=True)
class Form:
    """The fields as a user left them.

    Attributes:
        image: The uploaded file, ``None`` without one.
        classes: Commas or line breaks between classes, ``|`` between
            synonyms.
        things: The countable classes; empty to have them looked up,
            :data:`NO_THINGS` for none.
        tasks: Names of tasks.
        score_thr: Least score of an instance.
    """

    image: str | None
    classes: str
    things: str = ''
    tasks: Sequence[str] = tuple(task.value for task in Task)
    score_thr: float = 0.3


@dataclass(frozen=True)
class Request:
    """A form whose fields are usable.

    Attributes:
        image: The file.
        classes: One entry a class, with its synonyms.
        things: Names of the countable ones, ``None`` to have them looked up.
        tasks: At least one.
        score_thr: Least score of an instance.
    """

    image: Path
    classes: tuple[str, ...]
    things: tuple[str, ...] | None
    tasks: tuple[Task, ...]
    score_thr: float


def read_form(form: Form, limits: Limits) -> Request:
    """Check the fields, the cheapest first; the image is not decoded.

    Raises:
        ValueError: If something is missing, unknown or too large; the
            message tells the user what to do.
    """
    if not form.image:
        raise ValueError('no image: drop one into the field, or choose a file')
    for text in (form.classes, form.things):
        limits.check_words(text or '')
    classes = split_names(form.classes or '')
    if not classes:
        raise ValueError(
            'no classes: write what to look for, as cat|kitten, dog, grass'
        )
    things = _read_things(form.things or '', classes)
    if not form.tasks:
        raise ValueError('no task: tick at least one')
    tasks = Task.parse_many(form.tasks)
    if not 0 <= form.score_thr <= 1:
        raise ValueError(
            f'score_thr: expected a number in [0, 1], got {form.score_thr}'
        )
    path = Path(form.image)
    if not path.is_file():
        raise ValueError(
            f'{path.name} is no longer kept here: choose the image again'
        )
    limits.check(path, len(classes), len(tasks))
    return Request(path, classes, things, tasks, form.score_thr)


def split_names(text: str) -> tuple[str, ...]:
    """Split at commas and line breaks; a comma too many does no harm."""
    parts = (part.strip() for part in re.split(r'[,\n]', text))
    return tuple(part for part in parts if part)


def _read_things(text: str, classes: Sequence[str]) -> tuple[str, ...] | None:
    if text.strip() == NO_THINGS:
        return ()
    # 'cat|kitten' is as good as 'cat': both name the class
    things = [_class_name(entry) for entry in split_names(text)]
    if not things:
        return None
    names = [_class_name(entry) for entry in classes]
    unknown = [name for name in things if name not in names]
    if unknown:
        raise ValueError(
            f'marked as things, but not among the classes: '
            f'{", ".join(unknown)}; the classes are {", ".join(names)}'
        )
    return tuple(dict.fromkeys(things))


def _class_name(entry: str) -> str:
    return normal_name(entry.split(SYNONYM_MARK)[0])
