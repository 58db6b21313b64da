"""Boxes around masks, without waiting for the device."""

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
