"""One colour per category name, far apart within a vocabulary."""

from collections.abc import Sequence
from functools import cache, lru_cache
from hashlib import blake2b

import numpy as np

# Spacings tried in turn, in CIELAB units: about 2 can just be told apart.
_SPACINGS = (24, 20, 16, 13, 10, 8, 6, 4, 0)
_LIGHTNESS = np.arange(38, 87, 4)
_OPPONENT = np.arange(-96, 97, 6)
# Greyer ones are left to what is ignored and to the image itself.
_LEAST_CHROMA = 28
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def class_colours(names: Sequence[str]) -> np.ndarray:
    """Colours of the classes of a vocabulary.

    Every name has a colour of its own, drawn from its spelling. Names of
    one vocabulary whose colours would be too close are moved apart, as
    little as needed. So the colours depend on the set of names alone, not
    on their order, on the image or on the run.

    Args:
        names: Category names, C of them, unique.

    Returns:
        RGB, (C, 3) uint8, read-only.
    """
    return _class_colours(tuple(names))


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Convert CIELAB (D65) to sRGB.

    Args:
        lab: Lightness in [0, 100] and the two opponent axes, (..., 3).

    Returns:
        sRGB, (..., 3), in [0, 1] for colours a screen can show.
    """
    lightness, a, b = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = _WHITE * np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    linear = xyz @ _XYZ_TO_RGB.T
    curved = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, curved, 12.92 * linear)


@lru_cache(maxsize=16)
def _class_colours(names: tuple[str, ...]) -> np.ndarray:
    candidates = _candidates()
    wanted = [_digest(name) % len(candidates) for name in names]
    # By digest, so that the order of the names plays no role.
    order = sorted(range(len(names)), key=lambda i: _digest(names[i]))
    for spacing in _SPACINGS:
        chosen = _spread(candidates, [wanted[i] for i in order], spacing)
        if chosen is not None:
            break
    colours = np.empty((len(names), 3), np.uint8)
    colours[order] = np.rint(255 * lab_to_rgb(candidates[chosen]))
    colours.setflags(write=False)
    return colours


def _spread(
    candidates: np.ndarray, wanted: list[int], spacing: float
) -> list[int] | None:
    """Give each the free candidate next to what it wants, if all find one."""
    if not spacing:
        return wanted
    squares = (candidates**2).sum(axis=1)
    free = np.ones(len(candidates), dtype=bool)
    chosen = []
    for index in wanted:
        if not free.any():
            return None
        # squared distances of whole numbers: exact
        away = squares + squares[index] - 2 * candidates @ candidates[index]
        choice = int(np.where(free, away, np.inf).argmin())
        chosen.append(choice)
        away = squares + squares[choice] - 2 * candidates @ candidates[choice]
        free &= away >= spacing**2
    return chosen


def _digest(name: str) -> int:
    digest = blake2b(name.encode('utf-8'), digest_size=8).digest()
    return int.from_bytes(digest, 'big')


@cache
def _candidates() -> np.ndarray:
    """Grid of vivid colours that a screen can show, CIELAB, (n, 3)."""
    grid = np.meshgrid(_LIGHTNESS, _OPPONENT, _OPPONENT, indexing='ij')
    lab = np.stack(grid, axis=-1).reshape(-1, 3).astype(np.float64)
    rgb = lab_to_rgb(lab)
    shown = ((rgb >= 0) & (rgb <= 1)).all(axis=1)
    vivid = np.hypot(lab[:, 1], lab[:, 2]) >= _LEAST_CHROMA
    return lab[shown & vivid]
