"""Masks as regions of the coarse grid that a CLIP image tower sees."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .mask_classifier import PADDING_LOGIT


@dataclass(frozen=True)
class Regions:
    """What the masks of a batch are on a grid of (g_h, g_w) cells.

    Attributes:
        coverage: Share of each cell that a mask covers, 0 to 1, (B, M, g_h,
            g_w), float32.
        content: Share of each cell that is image and not padding, 0 to 1,
            (B, g_h, g_w), float32.
        valid: Whether a mask has any pixel, and so covers a part of some
            cell, (B, M), bool.
    """

    coverage: Tensor
    content: Tensor
    valid: Tensor

    @classmethod
    def from_logits(
        cls, mask_logits: Tensor, grid: tuple[int, int], threshold: float
    ) -> 'Regions':
        """Bring masks to a grid, whatever the sizes of the two.

        Args:
            mask_logits: As :class:`MaskClassifier` takes them, (B, M, h, w).
            grid: Rows and columns of cells, which share the masks' frame.
            threshold: Logit above which a pixel belongs to a mask.
        """
        inside = mask_logits > threshold
        is_content = (mask_logits > PADDING_LOGIT / 2).any(1)
        return cls(
            coverage=cell_means(inside, grid),
            content=cell_means(is_content, grid),
            valid=inside.flatten(2).any(-1),
        )

    def attention_bias(self) -> Tensor:
        """Bias that limits the attention of one query per mask.

        Keys are those of the cells, row by row, then one per mask. A query
        sees its mask's own key, and a cell as often as the mask covers it:
        the logarithm of the coverage is what a softmax over pixels, equal
        within their cell, comes to. One that covers everything has no bias
        at all. What a mask smaller than a cell covers counts as a cell, or
        its query would hardly see but its own key.

        Returns:
            (B, 1, M, g_h * g_w + M), float32; the 1 is for heads.
        """
        weights = self.coverage.flatten(2)
        total = weights.sum(-1, keepdim=True)
        weights = weights / torch.where(total > 0, total.clamp(max=1), 1)
        cells = weights.log()
        num_masks = cells.shape[1]
        own = cells.new_full((num_masks, num_masks), -torch.inf)
        own.fill_diagonal_(0.0)
        return torch.cat([cells, own.expand(len(cells), -1, -1)], -1)[:, None]


def cell_means(planes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mean of planes over each cell of a grid, by exact areas.

    Unlike adaptive pooling it shares out a pixel that lies in two cells.

    Args:
        planes: (..., h, w), bool or float.
        grid: Rows and columns.

    Returns:
        (..., *grid), float32.
    """
    height, width = planes.shape[-2:]
    rows = _overlaps(height, grid[0], planes.device)
    columns = _overlaps(width, grid[1], planes.device)
    return rows @ planes.float() @ columns.T


def _overlaps(length: int, num_cells: int, device: torch.device) -> Tensor:
    """Share of each of the cells that each pixel fills, (cells, length)."""
    pixel = torch.arange(length, device=device) / length
    cell = torch.arange(num_cells, device=device)[:, None] / num_cells
    start = torch.maximum(pixel, cell)
    end = torch.minimum(pixel + 1 / length, cell + 1 / num_cells)
    shares = (end - start).clamp(min=0)
    # rounding leaves slivers of pixels that only touch a cell
    shares = shares * (shares > 1e-3 / max(length, num_cells))
    return shares / shares.sum(1, keepdim=True)
