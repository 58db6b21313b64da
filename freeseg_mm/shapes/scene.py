"""Composition of a scene: stuff regions, figures on them, light, noise."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .classes import split_thing_name
from .textures import TEXTURES, FloatArray, smooth_noise

_REFERENCE_SIDE = 128
# Radius range of a thing in a 128-pixel scene: boxes of about 27 to 60.
_RADII = (15.0, 30.0)
# A thing keeps at least this share of its pixels when others cover it, so
# that a person can still name it.
_LEAST_VISIBLE = 0.65
_ATTEMPTS = 400
# A figure is drawn this many times larger and averaged, so edges are smooth
# and the exact area decides which pixels belong to the mask.
_OVERSAMPLING = 4

# Hue, saturation and value (0 to 1) of each colour name.
_HSV = {
    'red': (0.0, 0.88, 0.86),
    'green': (0.37, 0.85, 0.66),
    'blue': (0.635, 0.86, 0.86),
    'yellow': (0.145, 0.92, 0.97),
    'purple': (0.79, 0.72, 0.72),
    'black': (0.6, 0.15, 0.12),
}


@dataclass(frozen=True)
class Scene:
    """One image with its exact panoptic ground truth.

    Attributes:
        image: RGB image, (S, S, 3), uint8.
        segments: Index of the segment each pixel shows, (S, S), uint8;
            every pixel belongs to one, and every index to ``len(names)``
            occurs.
        names: Class name of each segment; stuff first.
    """

    image: NDArray[np.uint8]
    segments: NDArray[np.uint8]
    names: tuple[str, ...]


def compose_scene(
    stuff: Sequence[str], things: Sequence[str], side: int, rng: Generator
) -> Scene:
    """Draw a scene that shows the given classes.

    Args:
        stuff: Names of the stuff classes, one region each, at least one.
        things: Names of the things, from the back to the front; a name may
            occur several times.
        side: Side of the square image in pixels.
        rng: Source of all randomness.
    """
    segments = _stuff_regions(len(stuff), side, rng)
    image = np.zeros((side, side, 3), np.float32)
    for index, name in enumerate(stuff):
        region = segments == index
        gain = np.float32(rng.uniform(0.88, 1.08))
        image[region] = gain * TEXTURES[name](side, rng)[region]
    full_areas: list[int] = []
    for name in things:
        coverage = _place(name, segments, len(stuff), full_areas, side, rng)
        mask = coverage >= 0.5
        segments[mask] = len(stuff) + len(full_areas)
        full_areas.append(int(mask.sum()))
        tone, shade = _thing_colour(name, side, rng)
        touched = coverage > 0
        below = image[touched]
        image[touched] = below + coverage[touched, None] * (
            tone * shade[touched] - below
        )
    image = _light(image, rng)
    return Scene(
        image=np.clip(np.rint(image), 0, 255).astype(np.uint8),
        segments=segments,
        names=(*stuff, *things),
    )


def _stuff_regions(count: int, side: int, rng: Generator) -> NDArray[np.uint8]:
    """Split the image into bands, or a band around islands, of any angle."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    field = np.float32(np.sin(angle)) * axis[:, None]
    field = field + np.float32(np.cos(angle)) * axis[None, :]
    field = field + rng.uniform(0.15, 0.7) * smooth_noise(rng, side, (4, 4))
    field = field + 0.06 * smooth_noise(rng, side, (14, 14))
    # Shares of the image: none below about a sixth.
    shares = rng.uniform(0.6, 1.4, count)
    borders = np.cumsum(shares / shares.sum())[:-1]
    thresholds = np.quantile(field, borders)
    return np.searchsorted(thresholds, field, side='right').astype(np.uint8)


def _place(
    name: str,
    segments: NDArray[np.uint8],
    num_stuff: int,
    full_areas: list[int],
    side: int,
    rng: Generator,
) -> FloatArray:
    """Coverage of a new front thing that leaves the others visible.

    Stuff must keep pixels too, so that every named segment exists.
    """
    scale = side / _REFERENCE_SIDE
    _, figure = split_thing_name(name)
    radius = scale * rng.uniform(*_RADII)
    before = np.bincount(segments.ravel(), minlength=num_stuff)
    least = np.ceil(
        [
            *(0.3 * before[:num_stuff]),
            *(_LEAST_VISIBLE * area for area in full_areas),
        ]
    )
    for _ in range(_ATTEMPTS):
        low, high = 0.75 * radius, side - 0.75 * radius
        centre = (rng.uniform(low, high), rng.uniform(low, high))
        coverage = figure_coverage(
            figure, (side, side), centre, radius, rng.uniform(0, 360)
        )
        rest = np.bincount(
            segments[coverage < 0.5], minlength=num_stuff + len(full_areas)
        )
        if (rest >= least).all():
            return coverage
        radius = max(0.97 * radius, scale * _RADII[0])
    raise RuntimeError(
        f'no room for {name!r} among {len(full_areas)} other things in '
        f'{_ATTEMPTS} attempts; draw fewer things a scene'
    )


def _thing_colour(
    name: str, side: int, rng: Generator
) -> tuple[FloatArray, FloatArray]:
    """One RGB tone, (3,), and its shade at every pixel, (side, side, 1)."""
    colour, _ = split_thing_name(name)
    hue, saturation, value = _HSV[colour]
    hue = (hue + rng.uniform(-0.018, 0.018)) % 1
    saturation = min(1.0, saturation * rng.uniform(0.9, 1.08))
    value = min(1.0, value * rng.uniform(0.86, 1.06))
    tone = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))
    return tone.astype(np.float32), _gradient(side, 0.16, rng)


def _gradient(side: int, strength: float, rng: Generator) -> FloatArray:
    """Factor about 1, (side, side, 1), rising in a random direction."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.float32(np.sin(angle)) * axis[:, None]
    slope = slope + np.float32(np.cos(angle)) * axis[None, :]
    return (1 + np.float32(strength) * slope)[..., None]


def _light(image: FloatArray, rng: Generator) -> FloatArray:
    """Uneven light, a slight tint and sensor noise over the whole scene."""
    side = image.shape[0]
    gain = rng.uniform(0.86, 1.06) * rng.uniform(0.97, 1.03, 3)
    image = image * gain.astype(np.float32) * _gradient(side, 0.1, rng)
    noise = rng.standard_normal(image.shape, np.float32)
    return image + np.float32(rng.uniform(2, 6)) * noise


def figure_coverage(
    figure: str,
    size: tuple[int, int],
    centre: tuple[float, float],
    radius: float,
    degrees: float,
) -> FloatArray:
    """Share of each pixel that a figure covers.

    Args:
        figure: One of ``classes.FIGURES``.
        size: Height and width of the image in pixels.
        centre: Centre (x, y) in pixels; the top-left corner is (0, 0).
        radius: Radius in pixels of the circle around the figure.
        degrees: Clockwise rotation.

    Returns:
        Coverage (H, W), float32, 0 to 1.
    """
    height, width = size
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
    canvas = Image.new('L', (width * _OVERSAMPLING, height * _OVERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    for fill, outline in zip((255, 0), _OUTLINES[figure], strict=False):
        points = (outline @ turn) * radius + np.asarray(centre)
        pen.polygon([tuple(xy) for xy in points * _OVERSAMPLING], fill=fill)
    reduced = np.asarray(canvas.reduce(_OVERSAMPLING), np.float32)
    return reduced / np.float32(255)


def _regular(corners: int, radius: float = 1.0) -> FloatArray:
    """Corners of a regular polygon, the first one at the top, (n, 2) xy."""
    angles = 2 * np.pi * np.arange(corners) / corners
    corners_xy = np.stack([np.sin(angles), -np.cos(angles)], 1)
    return radius * corners_xy.astype(np.float32)


def _star() -> FloatArray:
    """Five points; every second corner is drawn in."""
    points = _regular(10)
    points[1::2] *= 0.42
    return points


def _cross() -> FloatArray:
    """A plus sign of equal arms."""
    arm, half = 0.95, 0.3
    quarter = np.array([[half, -arm], [half, -half], [arm, -half]])
    turn = np.array([[0, 1], [-1, 0]])
    corners = [quarter]
    for _ in range(3):
        corners.append(corners[-1] @ turn)
    return np.concatenate(corners).astype(np.float32)


# Outline and, where the figure has one, its hole. All lie within the unit
# circle; radii differ a little so that the figures have similar areas.
_OUTLINES: dict[str, tuple[FloatArray, ...]] = {
    'circle': (_regular(48, 0.86),),
    'triangle': (_regular(3),),
    'square': (_regular(4),),
    'star': (_star(),),
    'cross': (_cross(),),
    'ring': (_regular(48, 0.95), _regular(48, 0.52)),
}
