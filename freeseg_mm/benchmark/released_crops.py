"""Mask classification by CLIP as the authors' release runs it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.clip.crop_mask_classifier import (
    crop_mask_size,
    fit_crop_masks,
)


def classify_crops(
    clip: FrozenCLIP, image: Tensor, mask_logits: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Cut out and encode every mask of one image and task.

    Boxes are found and crops made mask by mask, the box's four edges read by
    the host; all crops are encoded, whatever their queries' scores.

    Args:
        clip: The frozen CLIP.
        image: RGB in [0, 255], (3, H, W).
        mask_logits: (N, h, w).
        threshold: Logit above which a pixel belongs to a mask.

    Returns:
        Unit-norm embeddings, (N, D), zero for empty masks; whether a mask
        is not empty, (N,), bool.
    """
    pixels = clip.normalize(image)
    embeds = image.new_zeros((len(mask_logits), clip.embed_dim))
    valid = torch.zeros(len(mask_logits), dtype=torch.bool)
    crops = []
    for index, logits in enumerate(mask_logits):
        inside = logits > threshold
        if inside.any():
            valid[index] = True
            crops.append(_crop(pixels, logits, inside, threshold, clip))
    valid = valid.to(image.device)
    if crops:
        embeds[valid] = clip.encode_images(torch.stack(crops)).to(image.dtype)
    return embeds, valid


def _crop(
    pixels: Tensor,
    logits: Tensor,
    inside: Tensor,
    threshold: float,
    clip: FrozenCLIP,
) -> Tensor:
    """The mask's box at CLIP's size, blank outside of the mask."""
    height, width = inside.shape
    rows = inside.any(1).nonzero()
    columns = inside.any(0).nonzero()
    top, bottom = int(rows[0]) / height, (int(rows[-1]) + 1) / height
    left, right = int(columns[0]) / width, (int(columns[-1]) + 1) / width
    # from the box to the frame, both measured from -1 to 1
    affine = pixels.new_tensor(
        [
            [right - left, 0.0, left + right - 1],
            [0.0, bottom - top, top + bottom - 1],
        ]
    )
    crop = _sample(pixels, affine, clip.image_size)
    blocks = _sample(logits[None], affine, crop_mask_size(clip.image_size))
    mask = fit_crop_masks(blocks[None] > threshold, clip.image_size)[0]
    return crop * mask


def _sample(maps: Tensor, affine: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of (c, h, w) maps on a grid of points in a box, (c, *size)."""
    grid = F.affine_grid(affine[None], [1, 1, *size], False)
    return F.grid_sample(
        maps[None].to(grid.dtype),
        grid,
        padding_mode='border',
        align_corners=False,
    )[0]
