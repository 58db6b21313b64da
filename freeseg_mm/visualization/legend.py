"""Legends: colours, patterns and names of classes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from freeseg_mm.structures import Vocabulary

from .fonts import can_draw
from .palette import PLAIN, class_colours, class_patterns
from .segments import (
    STUFF_OUTLINE,
    THING_OUTLINE,
    hatching,
    name_tag,
    paint,
)

GROUND = (32, 34, 38)
_MARGIN = 6
SWATCH = (17, 26)
"""Height and width of a swatch, enough for a pattern."""
_ROW = 21
_SPACE = 2
_GREY = 127.5


@dataclass(frozen=True)
class Legend:
    """A legend and the places of its entries.

    Attributes:
        picture: RGB, (H, W, 3), uint8.
        boxes: Left, top, right, bottom of swatch and name by label; labels
            top to bottom, then left to right.
    """

    picture: np.ndarray
    boxes: dict[int, tuple[int, int, int, int]]


def legend(
    labels: Iterable[int],
    vocabulary: Vocabulary,
    *,
    width: int = 1,
    height: int | None = None,
    scores: Mapping[int, float] | None = None,
) -> Legend:
    """Draw a swatch and the name of each class.

    Unseen classes come first; below the classes outlines, star, hatching
    and scores are explained.

    Args:
        labels: Positions in the vocabulary; each class is listed once.
        vocabulary: Names and kinds of the labels.
        width: Of the picture in pixels; it grows if a name needs more.
        height: Grow beyond ``width`` rather than beyond this height.
        scores: The best score of some of the labels, in [0, 1].
    """
    scores = scores or {}
    order = sorted(
        set(labels),
        key=lambda i: (vocabulary.is_seen[i], not vocabulary.is_thing[i], i),
    )
    patterns = class_patterns(order, vocabulary.names)
    colours = class_colours(vocabulary.names)
    swatches = [
        swatch(colours[label], vocabulary.is_thing[label], patterns[label])
        for label in order
    ]
    tags = [_tag(label, vocabulary, scores.get(label)) for label in order]
    notes = _notes(
        has_scores=bool(scores),
        has_boxes=not all(can_draw(vocabulary.names[i]) for i in order),
    )
    columns, column = _columns(tags, len(notes), width, height)
    rows = -(-len(order) // columns)
    size = (
        max(
            width,
            columns * column + _MARGIN,
            *(note.width + 2 * _MARGIN for note in notes),
        ),
        3 * _MARGIN + (rows + len(notes)) * _ROW,
    )
    canvas = Image.new('RGB', size, GROUND)
    boxes = {}
    for position, label in enumerate(order):
        left = _MARGIN + position // rows * column
        top = _MARGIN + position % rows * _ROW
        line = _line(swatches[position], tags[position])
        canvas.paste(line, (left, top))
        boxes[label] = (left, top, left + line.width, top + line.height)
    top = size[1] - _MARGIN - len(notes) * _ROW
    for index, note in enumerate(notes):
        canvas.paste(note, (_MARGIN, top + index * _ROW))
    return Legend(np.array(canvas), boxes)


def _tag(
    label: int, vocabulary: Vocabulary, score: float | None
) -> Image.Image:
    text = vocabulary.names[label]
    if score is not None:
        text += f' {score:.0%}'
    return name_tag(text, is_seen=vocabulary.is_seen[label])


def _columns(
    tags: list[Image.Image], num_notes: int, width: int, height: int | None
) -> tuple[int, int]:
    """Number of columns of entries, and the width of one."""
    widest = max((tag.width for tag in tags), default=0)
    column = _MARGIN + SWATCH[1] + _SPACE + widest
    columns = max(1, (width - _MARGIN) // column)
    if height is not None:
        rows = (height - 3 * _MARGIN) // _ROW - num_notes
        columns = max(columns, -(-len(tags) // max(1, rows)))
    return columns, column


def swatch(
    colour: np.ndarray, is_thing: bool, pattern: int = PLAIN
) -> Image.Image:
    """Draw a class as it looks over a grey image, of size :data:`SWATCH`."""
    canvas = np.empty((*SWATCH, 3))
    grey = np.full((*SWATCH, 1), _GREY)
    paint(canvas, grey, np.ones(SWATCH, dtype=bool), colour, pattern)
    drawn = Image.fromarray(np.rint(canvas).astype(np.uint8))
    ImageDraw.Draw(drawn).rectangle(
        (0, 0, SWATCH[1] - 1, SWATCH[0] - 1),
        outline=THING_OUTLINE if is_thing else STUFF_OUTLINE,
        width=2 if is_thing else 1,
    )
    return drawn


def _line(sign: Image.Image, tag: Image.Image) -> Image.Image:
    """A sign and what it means."""
    line = Image.new(
        'RGB', (sign.width + _SPACE + tag.width, SWATCH[0]), GROUND
    )
    line.paste(sign, (0, 0))
    place = (sign.width + _SPACE, (SWATCH[0] - tag.height) // 2)
    line.paste(tag, place, tag)
    return line


def _notes(*, has_scores: bool, has_boxes: bool) -> list[Image.Image]:
    """Explanations of the signs, one picture a line."""
    grey = np.array((120, 120, 120))
    nothing = Image.new('RGB', (0, 0))
    lines = [
        _line(nothing, name_tag('never labelled in training', is_seen=False)),
        _line(swatch(grey, True), name_tag('thing', is_seen=True)),
        _line(swatch(grey, False), name_tag('stuff', is_seen=True)),
        _line(
            Image.fromarray(hatching(*SWATCH)),
            name_tag('ignored or no segment', is_seen=True),
        ),
    ]
    if has_scores:
        best = name_tag('50%: best score of the class', is_seen=True)
        lines.append(_line(nothing, best))
    if has_boxes:
        boxes = 'boxes: no font here has these letters'
        lines.append(_line(nothing, name_tag(boxes, is_seen=True)))
    return lines
