"""PNG files small enough for a repository."""

from pathlib import Path

import numpy as np
from PIL import Image

_NUM_COLOURS = 256


def write_small_png(
    picture: np.ndarray, path: Path, num_colours: int = _NUM_COLOURS
) -> None:
    """Write a picture with few colours, which no eye misses.

    Args:
        picture: RGB, (H, W, 3), uint8.
        path: Where to; the folder must exist.
        num_colours: At most 256.

    Raises:
        ValueError: If ``num_colours`` is not in [1, 256].
    """
    if not 1 <= num_colours <= _NUM_COLOURS:
        raise ValueError(
            f'num_colours: expected 1 to {_NUM_COLOURS}, got {num_colours}'
        )
    few = Image.fromarray(picture).quantize(
        num_colours,
        method=Image.Quantize.FASTOCTREE,
        dither=Image.Dither.NONE,
    )
    few.save(path, optimize=True)
