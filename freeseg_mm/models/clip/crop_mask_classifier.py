"""CLIP looks at each mask's own crop (Sec. 3.1, Testing)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from freeseg_mm.registry import MODELS

from .frozen_clip import FrozenCLIP
from .mask_classifier import MaskClassifier


@MODELS.register_module()
class CropMaskClassifier(MaskClassifier):
    """Embed the box of a mask with everything outside of the mask blanked.

    Boxes are stretched to CLIP's input size; blanked pixels hold CLIP's
    mean colour.

    Args:
        mask_thr: Mask probability from which a pixel belongs to the mask.
        max_crops: Crops encoded at once, a bound on memory.

    Raises:
        ValueError: If ``mask_thr`` is not inside (0, 1) or ``max_crops``
            is not positive.
    """

    def __init__(self, *, mask_thr: float = 0.5, max_crops: int = 64) -> None:
        super().__init__()
        if not 0 < mask_thr < 1:
            raise ValueError(f'expected 0 < mask_thr < 1, got {mask_thr}')
        if max_crops < 1:
            raise ValueError(f'expected max_crops >= 1, got {max_crops}')
        threshold = torch.tensor(mask_thr)
        self.threshold_logit = float(threshold.logit())
        self.max_crops = max_crops

    @torch.no_grad()
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks by their crops; see :class:`MaskClassifier`."""
        inside = mask_logits > self.threshold_logit
        valid = inside.flatten(2).any(-1)  # (B, M)
        embeds = images.new_zeros((*valid.shape, clip.embed_dim))
        image_index, mask_index = valid.nonzero(as_tuple=True)
        boxes = unit_boxes(inside[image_index, mask_index])
        images = clip.normalize(images)
        for start in range(0, len(boxes), self.max_crops):
            part = slice(start, start + self.max_crops)
            where = image_index[part], mask_index[part]
            crops = self._crops(
                images[image_index[part]],
                mask_logits[where][:, None],
                boxes[part],
                clip.image_size,
            )
            embeds[where] = clip.encode_images(crops).to(embeds.dtype)
        return embeds, valid

    def _crops(
        self,
        images: Tensor,
        mask_logits: Tensor,
        boxes: Tensor,
        size: tuple[int, int],
    ) -> Tensor:
        """Cut boxes out of images and blank what the masks leave out.

        Args:
            images: Normalised, (K, 3, H, W).
            mask_logits: (K, 1, h, w).
            boxes: As :func:`unit_boxes` returns them, (K, 4).
            size: Size of a crop, (H, W).

        Returns:
            (K, 3, *size); zero, the mean colour, outside of the masks.
        """
        left, top, right, bottom = (2 * boxes - 1).unbind(-1)
        nought = torch.zeros_like(left)
        affine = torch.stack(
            [
                torch.stack(
                    [(right - left) / 2, nought, (left + right) / 2], -1
                ),
                torch.stack(
                    [nought, (bottom - top) / 2, (top + bottom) / 2], -1
                ),
            ],
            dim=1,
        )
        grid = F.affine_grid(affine, [len(boxes), 3, *size], False)
        pixels = F.grid_sample(
            images, grid, padding_mode='border', align_corners=False
        )
        mask = F.grid_sample(
            mask_logits.to(grid.dtype),
            grid,
            padding_mode='border',
            align_corners=False,
        )
        return pixels * (mask > self.threshold_logit)


def unit_boxes(masks: Tensor) -> Tensor:
    """Tight boxes of non-empty masks, as fractions of the frame.

    Args:
        masks: (K, h, w), bool.

    Returns:
        Left, top, right, bottom edges of the occupied cells in [0, 1],
        (K, 4), float32.
    """
    edges = []
    for occupied in (masks.any(1), masks.any(2)):  # columns, rows
        length = occupied.shape[1]
        first = occupied.float().argmax(1)
        last = length - occupied.flip(1).float().argmax(1)
        edges.append((first / length, last / length))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=1)
