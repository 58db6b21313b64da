"""Mask classifiers that look at an image once, whatever its masks."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .frozen_clip import FrozenCLIP
from .mask_classifier import PADDING_LOGIT, MaskClassifier

ImageSize = int | Sequence[int] | None


def check_image_size(image_size: ImageSize) -> None:
    """Refuse what :func:`tower_size` cannot use.

    Raises:
        TypeError: If it is neither ``None``, an integer nor two of them.
        ValueError: If a side is not positive.
    """
    if image_size is None:
        return
    sides = [image_size] if isinstance(image_size, int) else list(image_size)
    is_pair = not isinstance(image_size, int) and len(sides) == 2
    if not (is_pair or isinstance(image_size, int)) or not all(
        type(side) is int for side in sides
    ):
        raise TypeError(
            'expected image_size to be None, a short side or (height, width) '
            f'in pixels, got {image_size!r}'
        )
    if min(sides) < 1:
        raise ValueError(f'expected a positive image_size, got {image_size}')


def tower_size(
    frame: tuple[int, int], image_size: int | Sequence[int], stride: int
) -> tuple[int, int]:
    """Size at which to show a frame to an image tower.

    Args:
        frame: Height and width of what there is.
        image_size: The short side, the other one keeping the aspect; or
            height and width.
        stride: Pixels per patch or cell. Sides are rounded to multiples of
            it, at least one.

    Returns:
        Height and width in pixels.
    """
    if isinstance(image_size, int):
        sides = [image_size * side / min(frame) for side in frame]
    else:
        sides = [float(side) for side in image_size]
    height, width = (max(1, round(side / stride)) * stride for side in sides)
    return height, width


def resize_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize as CLIP's own preprocessing does: bicubic, antialiased.

    Args:
        images: (B, 3, H, W), 0 to 255.
        size: Height and width.

    Returns:
        (B, 3, *size), float32, 0 to 255; untouched if they have that size.
    """
    images = images.float()
    if images.shape[-2:] == size:
        return images
    resized = F.interpolate(
        images, size, mode='bicubic', align_corners=False, antialias=True
    )
    return resized.clamp(0, 255)


def resize_positions(
    positions: Tensor,
    trained: tuple[int, int],
    grid: tuple[int, int],
    mode: str = 'bicubic',
) -> Tensor:
    """Interpolate position embeddings, as open_clip does for its weights.

    Args:
        positions: That of the class token, then those of the patches row by
            row, (1 + t_h * t_w, C).
        trained: Grid of the patches, (t_h, t_w).
        grid: The grid wanted, (g_h, g_w).
        mode: Interpolation: ``bicubic``, antialiased, or ``bilinear``.

    Returns:
        (1 + g_h * g_w, C).
    """
    if trained == grid:
        return positions
    plane = positions[1:].float().unflatten(0, trained).permute(2, 0, 1)
    plane = F.interpolate(
        plane[None],
        grid,
        mode=mode,
        align_corners=False,
        antialias=mode == 'bicubic',
    )[0]
    patches = plane.flatten(1).T.to(positions.dtype)
    return torch.cat([positions[:1], patches])


@dataclass(frozen=True)
class Regions:
    """Masks of a batch on a grid of (g_h, g_w) cells.

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

    @classmethod
    def binary(
        cls, mask_logits: Tensor, grid: tuple[int, int], threshold: float
    ) -> 'Regions':
        """Bring masks to a grid bilinearly, then cut them at the threshold.

        A cell is covered wholly or not at all, so that a small mask may have
        none, and padding is not told from content. Arguments are those of
        :meth:`from_logits`.
        """
        logits = F.interpolate(mask_logits.float(), grid, mode='bilinear')
        inside = logits > threshold
        return cls(
            coverage=inside.float(),
            content=torch.ones_like(logits[:, 0]),
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


def unit_embeds(embeds: Tensor, regions: Regions) -> tuple[Tensor, Tensor]:
    """Bring embeddings (B, M, D) to what a :class:`MaskClassifier` returns."""
    unit = F.normalize(embeds.float(), dim=-1)
    return unit * regions.valid[..., None], regions.valid


class OnePassMaskClassifier(MaskClassifier):
    """One pass of the image tower per batch, then all masks together.

    The frame of the batch, padding included, is what is resized: an image
    stands alone only in a batch without padding.

    Args:
        image_size: Size the images are shown at: the short side, keeping
            the aspect; or (height, width), stretching. Rounded to whole
            patches. ``None`` takes what suits the kind of tower.
        mask_thr: Mask probability from which a pixel belongs to the mask.

    Raises:
        TypeError: If ``image_size`` is none of these.
        ValueError: If ``image_size`` is not positive or ``mask_thr`` not
            inside (0, 1).
    """

    def __init__(
        self, *, image_size: ImageSize = None, mask_thr: float = 0.5
    ) -> None:
        super().__init__()
        check_image_size(image_size)
        if not 0 < mask_thr < 1:
            raise ValueError(f'expected 0 < mask_thr < 1, got {mask_thr}')
        self.image_size = image_size
        self.threshold_logit = math.log(mask_thr / (1 - mask_thr))

    @torch.no_grad()
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks; see :class:`MaskClassifier`.

        Raises:
            TypeError: See :meth:`check`.
        """
        self.check(clip)
        visual = clip.clip.visual
        stride = self._stride(visual)
        frame = (images.shape[-2], images.shape[-1])
        image_size = self.image_size
        if image_size is None:
            image_size = self._usual_short_side(frame, clip.image_size)
        height, width = size = tower_size(frame, image_size, stride)
        regions = self._regions(
            mask_logits, (height // stride, width // stride), visual
        )
        pixels = clip.normalize(resize_images(images, size))
        weight = next(visual.parameters())
        embeds = self._embed(visual, pixels.to(weight.dtype), regions)
        return unit_embeds(embeds, regions)

    def _regions(
        self, mask_logits: Tensor, grid: tuple[int, int], visual: Any
    ) -> Regions:
        """Bring masks to the grid of the tower's last map."""
        return Regions.from_logits(mask_logits, grid, self.threshold_logit)

    @abstractmethod
    def _usual_short_side(
        self, frame: tuple[int, int], trained: tuple[int, int]
    ) -> int:
        """Short side to show a frame at unless told otherwise, pixels.

        Args:
            frame: Height and width of the images.
            trained: Those the tower was trained at.
        """

    @abstractmethod
    def _stride(self, visual: Any) -> int:
        """Pixels per cell of the tower's last map."""

    @abstractmethod
    def _embed(self, visual: Any, pixels: Tensor, regions: Regions) -> Tensor:
        """Embed regions in one pass.

        Args:
            visual: open_clip's image tower.
            pixels: Normalised, in the tower's dtype, (B, 3, H, W).
            regions: The masks on the tower's grid.

        Returns:
            (B, M, D), of any length; finite for empty masks, too.
        """
