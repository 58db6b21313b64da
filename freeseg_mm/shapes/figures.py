"""Outlines of the figures that things are made of."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

FloatArray = NDArray[np.float32]

# The outline is drawn this many times larger and averaged, so edges are
# smooth and the exact area decides which pixels belong to the mask.
_OVERSAMPLING = 4


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


def figure_coverage(
    figure: str,
    size: tuple[int, int],
    centre: tuple[float, float],
    radius: float,
    degrees: float,
) -> FloatArray:
    """How much of each pixel a figure covers.

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
