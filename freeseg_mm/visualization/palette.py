"""Colours and patterns of class names that everyone can tell apart."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import ImageColor

# Deuteranopia and protanopia, which one man in fifty has, as Machado,
# Oliveira and Fernandes simulate them (2009, severity 1): from linear RGB to
# linear RGB.
VISIONS = {
    'normal': np.eye(3),
    'deuteranopia': np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    'protanopia': np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
_RGB_TO_XYZ = np.linalg.inv(_XYZ_TO_RGB)
_STEP = 6 / 29  # where CIELAB's cube root begins

# Lightness and opponent axes of the colours to choose from.
_LIGHTNESS = np.arange(38, 87, 4)
_OPPONENT = np.arange(-96, 97, 6)
# Greyer ones are left to ignored pixels and to the image itself.
_LEAST_CHROMA = 28

# Share of a class's colour in its region, the rest is the image.
OPACITY = 0.6
# Colours closer than this, in CIELAB units, get different patterns.
ALIKE = 12.0
# Of a pattern: from line to line, and width of a line, in pixels.
_PERIOD = 10
_WIDTH = 2
# Share of black or white in a line.
_INK = 0.55
_LIGHT = 128.0
LUMA = np.array([0.299, 0.587, 0.114])

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


def class_colours(names: Sequence[str]) -> np.ndarray:
    """Colours of class names, in every picture the same.

    The colour of a name depends on its spelling alone: not on the other
    names, the dataset, the image or the run. ``palette.json`` holds those of
    the vocabularies that come with the package and of the generated world;
    they are far apart within each vocabulary, for colour-blind people too. A
    colour of any other name is chosen by a hash, so two of them may be
    alike. :func:`class_patterns` tells alike ones apart.

    Args:
        names: Class names, C of them.

    Returns:
        RGB, (C, 3) uint8, read-only.
    """
    table = _table()
    colours = np.array(
        [table.get(name) or _hashed_colour(name) for name in names], np.uint8
    ).reshape(-1, 3)
    colours.setflags(write=False)
    return colours


def class_patterns(
    labels: Collection[int], names: Sequence[str]
) -> dict[int, int]:
    """Patterns for those classes of one picture whose colours are alike.

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
        # distance to the nearest class with each pattern
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
    """Colour of a pattern's lines on a colour, (3,), [0, 255]."""
    ink = 0 if colour @ LUMA > _LIGHT else 255
    return (1 - _INK) * colour + _INK * ink


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Convert CIELAB (D65) to sRGB.

    OpenCV's conversion is off by up to 0.5 units, too much for choosing
    colours.

    Args:
        lab: Lightness in [0, 100] and the two opponent axes, (..., 3).

    Returns:
        sRGB, (..., 3), in [0, 1] for colours a screen can show.
    """
    lightness, a, b = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = _WHITE * np.where(f > _STEP, f**3, (f - 4 / 29) * 3 * _STEP**2)
    return _encode(xyz @ _XYZ_TO_RGB.T)


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Inverse of :func:`lab_to_rgb`."""
    xyz = _decode(rgb) @ _RGB_TO_XYZ.T / _WHITE
    f = np.where(xyz > _STEP**3, np.cbrt(xyz), xyz / (3 * _STEP**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def simulate(rgb: np.ndarray, vision: str) -> np.ndarray:
    """Simulate colour blindness.

    Args:
        rgb: sRGB, (..., 3), in [0, 1].
        vision: Of :data:`VISIONS`.

    Returns:
        sRGB, (..., 3), in [0, 1], that looks to all as ``rgb`` to people of
        this vision.
    """
    return _encode((_decode(rgb) @ VISIONS[vision].T).clip(0, 1))


def least_differences(rgb: np.ndarray) -> np.ndarray:
    """Distances of colours to people who see them least apart.

    Args:
        rgb: sRGB, (n, 3), in [0, 1].

    Returns:
        Distances in CIELAB, the least of :data:`VISIONS`, (n, n). About 2
        can just be told apart.
    """
    lab = np.stack([rgb_to_lab(simulate(rgb, name)) for name in VISIONS])
    return np.linalg.norm(lab[:, :, None] - lab[:, None], axis=-1).min(axis=0)


def name_digest(name: str) -> int:
    """Hash of a name, 64 bits, the same on every machine."""
    digest = blake2b(name.encode('utf-8'), digest_size=8).digest()
    return int.from_bytes(digest, 'big')


@cache
def candidate_colours() -> np.ndarray:
    """Grid of vivid colours that a screen can show, CIELAB, (n, 3)."""
    grid = np.meshgrid(_LIGHTNESS, _OPPONENT, _OPPONENT, indexing='ij')
    lab = np.stack(grid, axis=-1).reshape(-1, 3).astype(np.float64)
    rgb = lab_to_rgb(lab)
    shown = ((rgb >= 0) & (rgb <= 1)).all(axis=1)
    vivid = np.hypot(lab[:, 1], lab[:, 2]) >= _LEAST_CHROMA
    return lab[shown & vivid]


@cache
def _table() -> dict[str, tuple[int, ...]]:
    path = Path(__file__).with_name('palette.json')
    content = json.loads(path.read_text('utf-8'))
    return {name: ImageColor.getrgb(code) for name, code in content.items()}


def _hashed_colour(name: str) -> np.ndarray:
    candidates = candidate_colours()
    lab = candidates[name_digest(name) % len(candidates)]
    return np.rint(255 * lab_to_rgb(lab))


def _decode(rgb: np.ndarray) -> np.ndarray:
    """From sRGB to linear light."""
    rgb = np.asarray(rgb, np.float64)
    curved = ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4
    return np.where(rgb > 0.04045, curved, rgb / 12.92)


def _encode(linear: np.ndarray) -> np.ndarray:
    """From linear light to sRGB."""
    curved = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, curved, 12.92 * linear)
