"""Textures of the stuff classes.

Mean colours overlap on purpose (sky and water, sand and wood, pebbles and
snow in shadow): what tells the classes apart is the pattern.

Every texture is a function of (side in pixels, random generator) that gives
an RGB image (side, side, 3), float32, about 0 to 255. Lengths are in pixels
of a 128-pixel scene and grow with the side.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

FloatArray = NDArray[np.float32]
Colour = tuple[float, float, float]

_REFERENCE_SIDE = 128


def smooth_noise(
    rng: Generator, side: int, cells: tuple[float, float]
) -> FloatArray:
    """Random field that varies over a given number of cells.

    Args:
        rng: Source of randomness.
        side: Side of the field in pixels.
        cells: Number of cells down and across; more is finer.

    Returns:
        Field (side, side), roughly within -1 to 1, mean about 0.
    """
    rows, columns = (max(2, round(count)) for count in cells)
    grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    image = Image.fromarray(grid).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    return np.asarray(image)


def _coordinates(
    side: int, degrees: float, rng: Generator
) -> tuple[FloatArray, FloatArray]:
    """Rotated and shifted (down, across), in reference pixels."""
    axis = np.arange(side, dtype=np.float32) * (_REFERENCE_SIDE / side)
    angle = np.deg2rad(degrees)
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    shift_down, shift_across = rng.uniform(200, 300, 2).astype(np.float32)
    down = cosine * axis[:, None] - sine * axis[None, :] + shift_down
    across = sine * axis[:, None] + cosine * axis[None, :] + shift_across
    return down, across


def _paint(low: Colour, high: Colour, amount: FloatArray) -> FloatArray:
    """Blend two colours by an amount of 0 (low) to 1 (high)."""
    weight = np.clip(amount, 0, 1)[..., None]
    first = np.asarray(low, np.float32)
    return first + weight * (np.asarray(high, np.float32) - first)


def _groove(position: FloatArray, pitch: float, width: float) -> FloatArray:
    """Coverage, 0 to 1, of grooves every ``pitch`` pixels."""
    offset = np.mod(position, pitch)
    distance = np.minimum(offset, pitch - offset)
    return np.clip(0.5 + width / 2 - distance, 0, 1)


def _per_cell(rng: Generator, *cells: FloatArray) -> FloatArray:
    """One random value of -1 to 1 for each cell of integer coordinates."""
    table = rng.uniform(-1, 1, 4096).astype(np.float32)
    index = sum(
        cell.astype(np.int64) * step
        for cell, step in zip(cells, (1, 61), strict=True)
    )
    return table[np.mod(index, table.size)]


def sky(side: int, rng: Generator) -> FloatArray:
    """A blue gradient with soft white clouds."""
    height = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    blue = _paint((72, 132, 214), (150, 194, 236), np.repeat(height, side, 1))
    clouds = (
        smooth_noise(rng, side, (6, 3))
        + 0.5 * smooth_noise(rng, side, (12, 7))
        + 0.25 * smooth_noise(rng, side, (24, 14))
    )
    cover = np.clip(2.2 * clouds - 0.35, 0, 0.9)[..., None]
    return blue * (1 - cover) + 245 * cover


def grass(side: int, rng: Generator) -> FloatArray:
    """Thin upright blades of many greens."""
    blades = smooth_noise(rng, side, (16, 64)) + 0.7 * smooth_noise(
        rng, side, (26, 90)
    )
    patches = smooth_noise(rng, side, (4, 4))
    return _paint(
        (18, 66, 16), (150, 190, 64), 0.5 + 0.42 * blades + 0.12 * patches
    )


def brick(side: int, rng: Generator) -> FloatArray:
    """Courses of bricks, every second one shifted, with light mortar."""
    down, across = _coordinates(side, rng.uniform(-6, 6), rng)
    height = rng.uniform(8, 11)
    width = 2.2 * height
    course = np.floor(down / height)
    across = across + np.mod(course, 2) * width / 2
    tint = _per_cell(rng, course, np.floor(across / width))
    tint = tint + 0.35 * smooth_noise(rng, side, (50, 50))
    bodies = (((126, 50, 38), (186, 92, 68)), ((138, 92, 62), (190, 146, 108)))
    wall = _paint(*bodies[rng.integers(len(bodies))], 0.5 + 0.4 * tint)
    mortar = np.maximum(
        _groove(down, height, 1.6), _groove(across, width, 1.6)
    )[..., None]
    return wall * (1 - mortar) + 206 * mortar


def sand(side: int, rng: Generator) -> FloatArray:
    """Fine grains over faint dunes."""
    grains = rng.normal(0, 1, (side, side)).astype(np.float32)
    dunes = smooth_noise(rng, side, (7, 3))
    return _paint(
        (176, 138, 84), (236, 208, 152), 0.5 + 0.24 * grains + 0.3 * dunes
    )


def water(side: int, rng: Generator) -> FloatArray:
    """Level waves with bright crests."""
    down, across = _coordinates(side, rng.uniform(-5, 5), rng)
    bend = 3.0 * smooth_noise(rng, side, (9, 9))
    bend += 1.6 * np.sin(across / rng.uniform(3.5, 5.5))
    pitch = rng.uniform(7, 10)
    wave = np.sin(2 * np.pi * (down + bend) / pitch)
    wave = wave + 0.6 * smooth_noise(rng, side, (40, 14))
    body = _paint((20, 66, 140), (74, 140, 200), 0.5 + 0.4 * wave)
    crest = np.clip(2.5 * (wave - 0.9), 0, 0.85)[..., None]
    return body * (1 - crest) + 232 * crest


def wood(side: int, rng: Generator) -> FloatArray:
    """Planks with long bent grain and dark gaps."""
    degrees = rng.choice([0, 90]) + rng.uniform(-5, 5)
    down, across = _coordinates(side, degrees, rng)
    width = rng.uniform(17, 24)
    plank = np.floor(down / width)
    tint = _per_cell(rng, plank, np.zeros_like(plank))
    bend = 2.4 * np.sin(across / 17 + 5 * tint)
    grain = np.sin(2 * np.pi * (down + bend) / 4.6 + 2.2 * np.sin(down / 5))
    amount = 0.5 + 0.26 * grain + 0.22 * tint
    amount = amount + 0.12 * smooth_noise(rng, side, (30, 30))
    boards = _paint((112, 70, 34), (206, 152, 94), amount)
    gap = _groove(down, width, 1.4)[..., None]
    return boards * (1 - gap) + 44 * gap


def snow(side: int, rng: Generator) -> FloatArray:
    """White drifts with bluish shadows and a few sparkles."""
    drifts = smooth_noise(rng, side, (5, 4)) + 0.5 * smooth_noise(
        rng, side, (11, 9)
    )
    amount = np.float32(0.62) + np.float32(0.5) * drifts
    snowfield = _paint((184, 198, 222), (252, 252, 254), amount)
    sparkle = rng.random((side, side)) < 0.02
    dimmed = np.where(sparkle, 0.82, 1.0).astype(np.float32)
    return snowfield * dimmed[..., None]


def pebbles(side: int, rng: Generator) -> FloatArray:
    """Rounded stones of many greys with dark gaps between them."""
    down, across = _coordinates(side, rng.uniform(-20, 20), rng)
    pitch = rng.uniform(9, 12)
    down, across = down / pitch, across / pitch
    row, column = np.floor(down), np.floor(across)
    jitter = np.random.default_rng(rng.integers(2**32))
    table = jitter.uniform(0.14, 0.86, (64, 64, 2)).astype(np.float32)
    nearest = np.full(down.shape, np.inf, np.float32)
    second = nearest.copy()
    stone = np.zeros(down.shape, np.int64)
    for step_down in (-1, 0, 1):
        for step_across in (-1, 0, 1):
            i = (row + step_down).astype(np.int64) % 64
            j = (column + step_across).astype(np.int64) % 64
            centre = table[i, j]
            distance = np.hypot(
                row + step_down + centre[..., 0] - down,
                column + step_across + centre[..., 1] - across,
            )
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            stone = np.where(closer, i * 64 + j, stone)
            nearest = np.where(closer, distance, nearest)
    shade = jitter.uniform(0, 1, 64 * 64).astype(np.float32)[stone]
    body = _paint((92, 88, 84), (206, 198, 186), shade)
    dome = np.clip(1.12 - 0.45 * nearest, 0, 1.1)
    edge = np.clip((second - nearest) * 3.2, 0.18, 1)
    return body * (dome * edge)[..., None]


def tiles(side: int, rng: Generator) -> FloatArray:
    """A floor of square tiles in two alternating colours."""
    down, across = _coordinates(side, rng.uniform(-10, 10), rng)
    pitch = rng.uniform(11, 15)
    row, column = np.floor(down / pitch), np.floor(across / pitch)
    pairs: tuple[tuple[Colour, Colour], ...] = (
        ((96, 150, 150), (226, 230, 222)),
        ((150, 120, 140), (232, 222, 214)),
        ((104, 116, 128), (214, 208, 190)),
    )
    chequer = np.mod(row + column, 2)
    tint = 0.05 * _per_cell(rng, row, column)
    floor = _paint(*pairs[rng.integers(len(pairs))], chequer + tint)
    grout = np.maximum(_groove(down, pitch, 1.2), _groove(across, pitch, 1.2))[
        ..., None
    ]
    return floor * (1 - grout) + 78 * grout


TEXTURES: dict[str, Callable[[int, Generator], FloatArray]] = {
    'sky': sky,
    'grass': grass,
    'brick': brick,
    'sand': sand,
    'water': water,
    'wood': wood,
    'snow': snow,
    'pebbles': pebbles,
    'tiles': tiles,
}
