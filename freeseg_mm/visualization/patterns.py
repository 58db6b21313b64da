"""Patterns that tell classes of like colours apart."""

from collections.abc import Collection, Sequence

import numpy as np

from .colour_vision import least_differences
from .palette import class_colours

# How much of a region is the colour of its class, the rest is the image.
OPACITY = 0.75
# Colours closer than this, in CIELAB units, get different patterns.
ALIKE = 14.0
# Of a pattern: from line to line, and width of a line, in pixels.
_PERIOD = 10
_WIDTH = 2
# How much of a line is black or white.
_INK = 0.55
_LIGHT = 128.0
_LUMA = np.array([0.299, 0.587, 0.114])

PLAIN = 0
# The further ones are combinations of these.
_LINES = (
    ((1, 1),),
    ((1, -1),),
    ((1, 0),),
    ((0, 1),),
    ((1, 1), (1, -1)),
    ((1, 0), (0, 1)),
)
NUM_PATTERNS = 1 + len(_LINES)


def class_patterns(
    labels: Collection[int], names: Sequence[str]
) -> dict[int, int]:
    """Give classes of one picture patterns where their colours are alike.

    Two colours are alike if anyone, with deuteranopia and protanopia too,
    sees them closer than :data:`ALIKE` once they are mixed with a grey image.

    Args:
        labels: The classes that the picture shows, positions in ``names``.
        names: All names.

    Returns:
        Pattern of each class, 0 for none, below :data:`NUM_PATTERNS`. Like
        colours differ in it; only if a class has more like ones than there
        are patterns, it shares that of the least like of them.

    Raises:
        ValueError: If a label is beyond the names.
    """
    wrong = sorted({x for x in labels if not 0 <= x < len(names)})
    if wrong:
        raise ValueError(
            f'labels {wrong} are beyond the {len(names)} names; pass the '
            'vocabulary that the labels refer to'
        )
    # by name, so that the order of the vocabulary plays no role
    order = sorted(set(labels), key=lambda label: names[label])
    colours = class_colours([names[label] for label in order]) / 255
    away = least_differences(mixed(colours, 0.5))
    patterns: list[int] = []
    for i in range(len(order)):
        # how far the nearest class with each pattern is
        nearest = [
            min(
                (away[i, j] for j in range(i) if patterns[j] == pattern),
                default=np.inf,
            )
            for pattern in range(NUM_PATTERNS)
        ]
        free = [p for p in range(NUM_PATTERNS) if nearest[p] >= ALIKE]
        patterns.append(free[0] if free else int(np.argmax(nearest)))
    return dict(zip(order, patterns, strict=True))


def mixed(colour: np.ndarray, image: np.ndarray | float) -> np.ndarray:
    """A class's colour over an image, both (..., 3) or grey, of one range."""
    return OPACITY * colour + (1 - OPACITY) * image


def pattern_mask(pattern: int, height: int, width: int) -> np.ndarray:
    """Pixels of a pattern's lines, (height, width) bool.

    Raises:
        ValueError: If there is no such pattern.
    """
    if not 0 <= pattern < NUM_PATTERNS:
        raise ValueError(
            f'no pattern {pattern}; there are 0 to {NUM_PATTERNS - 1}'
        )
    mask = np.zeros((height, width), dtype=bool)
    if pattern == PLAIN:
        return mask
    rows, columns = np.arange(height)[:, None], np.arange(width)
    for down, right in _LINES[pattern - 1]:
        mask |= (down * rows + right * columns) % _PERIOD < _WIDTH
    return mask


def inked(colour: np.ndarray) -> np.ndarray:
    """Colour of the lines of a pattern on a colour, (3,), [0, 255]."""
    ink = 0 if colour @ _LUMA > _LIGHT else 255
    return (1 - _INK) * colour + _INK * ink
