"""Boxes around masks, without waiting for the device, and other sizes."""

import numpy as np
import torch
from torch import Tensor


def mask_boxes(masks: Tensor) -> Tensor:
    """Tight boxes of non-empty masks.

    Args:
        masks: (K, h, w), bool.

    Returns:
        Left, top, right, bottom edges of the occupied cells in cells, (K,
        4), int64; right and bottom are exclusive.
    """
    edges = []
    for occupied in (masks.any(1), masks.any(2)):  # columns, rows
        length = occupied.shape[1]
        cells = occupied.to(torch.uint8)
        edges.append((cells.argmax(1), length - cells.flip(1).argmax(1)))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=1)


def segment_box(mask: np.ndarray) -> list[int]:
    """The smallest box around a mask.

    Args:
        mask: (H, W) bool with at least one pixel set.

    Returns:
        COCO's ``[x, y, width, height]`` in whole pixels.

    Raises:
        ValueError: If no pixel is set.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError('an empty mask has no box')
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]


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
