"""Label maps and masks at another size."""

import numpy as np


def nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take the nearest pixels: labels cannot be mixed.

    Args:
        values: (..., H, W).
        size: (H', W').

    Returns:
        (..., H', W'), the same array if that is its size.
    """
    height, width = values.shape[-2:]
    if (height, width) == size:
        return values
    rows = np.arange(size[0]) * height // size[0]
    columns = np.arange(size[1]) * width // size[1]
    return values[..., rows[:, None], columns]


def fitting(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """The size, (H, W), made smaller until no side is longer."""
    shrink = max(1.0, max(size) / max_side)
    height, width = (max(1, round(side / shrink)) for side in size)
    return height, width
