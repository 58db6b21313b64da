"""Which colour is which class."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from freeseg_mm.structures import Vocabulary

from .name_tag import name_tag
from .palette import class_colours
from .segments import STUFF_OUTLINE, THING_OUTLINE, hatching

GROUND = (32, 34, 38)
_MARGIN = 6
_SWATCH = 17
_ROW = 21


@dataclass(frozen=True)
class LegendEntry:
    """One class in a legend.

    Attributes:
        name: Of the class.
        label: Its position in the vocabulary.
        is_thing: Whether its swatch has the outline of things.
        is_seen: Whether its name is written plainly, not starred.
        box: Left, top, right, bottom of swatch and name in the picture.
    """

    name: str
    label: int
    is_thing: bool
    is_seen: bool
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Legend:
    """A legend and what stands where in it.

    Attributes:
        picture: RGB, (H, W, 3), uint8.
        entries: The classes, top to bottom, then left to right.
    """

    picture: np.ndarray
    entries: tuple[LegendEntry, ...]


def legend(
    labels: Iterable[int], vocabulary: Vocabulary, *, width: int
) -> Legend:
    """Draw a swatch and the name of each class.

    Unseen classes come first; below the classes stands what outlines, star
    and hatching mean.

    Args:
        labels: Positions in the vocabulary; each class is listed once.
        vocabulary: Names and kinds of the labels.
        width: Of the picture in pixels; it grows if a name needs more.
    """
    order = sorted(
        set(labels),
        key=lambda i: (vocabulary.is_seen[i], not vocabulary.is_thing[i], i),
    )
    tags = {
        label: name_tag(
            vocabulary.names[label], is_seen=vocabulary.is_seen[label]
        )
        for label in order
    }
    widest = max((tag.width for tag in tags.values()), default=0)
    column = _MARGIN + _SWATCH + 2 + widest
    columns = max(1, (width - _MARGIN) // column)
    rows = -(-len(order) // columns)
    notes = _notes()
    size = (
        max(width, column + _MARGIN, *(n.width + _MARGIN for n in notes)),
        3 * _MARGIN + rows * _ROW + len(notes) * _ROW,
    )
    canvas = Image.new('RGB', size, GROUND)
    colours = class_colours(vocabulary.names)
    entries = []
    for position, label in enumerate(order):
        left = _MARGIN + position // rows * column
        top = _MARGIN + position % rows * _ROW
        is_thing = vocabulary.is_thing[label]
        swatch = _swatch(colours[label], is_thing)
        canvas.paste(swatch, (left, top))
        tag = tags[label]
        text_left = left + _SWATCH + 2
        canvas.paste(tag, (text_left, top + (_SWATCH - tag.height) // 2), tag)
        entries.append(
            LegendEntry(
                name=vocabulary.names[label],
                label=label,
                is_thing=is_thing,
                is_seen=vocabulary.is_seen[label],
                box=(left, top, text_left + tag.width, top + _SWATCH),
            )
        )
    top = size[1] - _MARGIN - len(notes) * _ROW
    for index, note in enumerate(notes):
        canvas.paste(note, (_MARGIN, top + index * _ROW))
    return Legend(np.array(canvas), tuple(entries))


def _swatch(colour: np.ndarray, is_thing: bool) -> Image.Image:
    swatch = Image.new('RGB', (_SWATCH, _SWATCH))
    ImageDraw.Draw(swatch).rectangle(
        (0, 0, _SWATCH - 1, _SWATCH - 1),
        fill=tuple(int(value) for value in colour),
        outline=THING_OUTLINE if is_thing else STUFF_OUTLINE,
        width=2 if is_thing else 1,
    )
    return swatch


def _notes() -> list[Image.Image]:
    """What the signs mean, one picture a line."""
    grey = np.array((120, 120, 120))
    signs = [
        (_swatch(grey, True), 'thing'),
        (_swatch(grey, False), 'stuff'),
        (Image.fromarray(hatching(_SWATCH, _SWATCH)), 'ignored or no segment'),
    ]
    lines = []
    for sign, text in signs:
        tag = name_tag(text, is_seen=True)
        line = Image.new('RGB', (_SWATCH + 2 + tag.width, _SWATCH), GROUND)
        line.paste(sign, (0, 0))
        line.paste(tag, (_SWATCH + 2, (_SWATCH - tag.height) // 2), tag)
        lines.append(line)
    tag = name_tag('unseen class', is_seen=False)
    line = Image.new('RGB', (tag.width, _SWATCH), GROUND)
    line.paste(tag, (0, (_SWATCH - tag.height) // 2), tag)
    return [line, *lines]
