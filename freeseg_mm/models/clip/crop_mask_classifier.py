"""CLIP looks at each mask's own crop (Sec. 3.1, Testing)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from freeseg_mm.registry import MODELS
from freeseg_mm.utils.mask_boxes import mask_boxes

from .frozen_clip import FrozenCLIP
from .mask_classifier import MaskClassifier


@MODELS.register_module()
class CropMaskClassifier(MaskClassifier):
    """Embed the box of a mask with everything outside of the mask blanked.

    Boxes are stretched to CLIP's input size; blanked pixels hold CLIP's
    mean colour. What a mask leaves of its crop is decided for blocks of 2 x
    2 pixels: masks come at stride 4 and tell no finer. Masks of an image
    that leave the same crop (the same thing in two tasks, often) are encoded
    once.

    Args:
        mask_thr: Mask probability from which a pixel belongs to the mask.
        max_crops: Crops made and encoded at once, a bound on memory.
        full_size: Whether masks come at the size of the images and blank
            them pixel by pixel before their boxes are stretched,
            bicubically and with aligned corners (as released). Each crop is
            then made by itself.

    Raises:
        ValueError: If ``mask_thr`` is not inside (0, 1) or ``max_crops``
            is not positive.
    """

    def __init__(
        self,
        *,
        mask_thr: float = 0.5,
        max_crops: int = 64,
        full_size: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < mask_thr < 1:
            raise ValueError(f'expected 0 < mask_thr < 1, got {mask_thr}')
        if max_crops < 1:
            raise ValueError(f'expected max_crops >= 1, got {max_crops}')
        threshold = torch.tensor(mask_thr)
        self.threshold_logit = float(threshold.logit())
        self.max_crops = max_crops
        self.takes_full_size = full_size

    @torch.no_grad()
    def forward(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed masks by their crops; see :class:`MaskClassifier`."""
        if torch.jit.is_tracing():
            return self._embed_each(clip, images, mask_logits)
        inside = mask_logits > self.threshold_logit
        valid = inside.flatten(2).any(-1)  # (B, M)
        embeds = images.new_zeros((*valid.shape, clip.embed_dim))
        image_index, mask_index = valid.nonzero(as_tuple=True)
        if len(image_index) == 0:
            return embeds, valid
        if self.takes_full_size:
            embeds[valid] = self._embed_full_size(
                clip, clip.normalize(images), image_index, inside[valid]
            ).to(embeds.dtype)
            return embeds, valid
        boxes = unit_boxes(inside[image_index, mask_index])
        crop_masks = torch.cat(
            [
                self._crop_masks(
                    mask_logits[image_index[part], mask_index[part]],
                    boxes[part],
                    clip.image_size,
                )
                for part in self._chunks(len(boxes))
            ]
        )
        shown, crop_of_mask = _distinct(image_index, boxes, crop_masks)
        images = clip.normalize(images)
        crop_embeds = [
            clip.encode_images(
                _cut(images, image_index[part], boxes[part], clip.image_size)
                * fit_crop_masks(crop_masks[part], clip.image_size)
            )
            for part in shown.split(self.max_crops)
        ]
        embeds[valid] = torch.cat(crop_embeds)[crop_of_mask].to(embeds.dtype)
        return embeds, valid

    def graph_problem(self, clip: FrozenCLIP) -> str | None:
        """See :class:`MaskClassifier`."""
        return 'full_size=True' if self.takes_full_size else None

    def _embed_each(
        self, clip: FrozenCLIP, images: Tensor, mask_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed the masks of one image by what a traced graph can hold.

        All crops at once, equal ones again, and one more, so that there is
        one.
        """
        inside = mask_logits[0] > self.threshold_logit
        valid = inside.flatten(1).any(-1)
        index = valid.nonzero().flatten()
        index = torch.cat([index, index.new_zeros(1)])
        size = clip.image_size
        boxes = unit_boxes(inside[index])
        crop_masks = self._crop_masks(mask_logits[0, index], boxes, size)
        grid = _grid(boxes, size).flatten(0, 1)[None]
        crops = _sample(clip.normalize(images), grid)[0]
        crops = crops.unflatten(1, (-1, size[0])).transpose(0, 1)
        found = clip.encode_images(crops * fit_crop_masks(crop_masks, size))
        embeds = found.new_zeros(valid.shape[0], clip.embed_dim)
        embeds[index[:-1]] = found[:-1]
        return embeds[None], valid[None]

    def _embed_full_size(
        self,
        clip: FrozenCLIP,
        images: Tensor,
        image_index: Tensor,
        masks: Tensor,
    ) -> Tensor:
        """Embed boxes of masks, cut out whole and then stretched, (K, D).

        Args:
            clip: The frozen CLIP.
            images: Normalized, (B, 3, H, W).
            image_index: Image of each mask, (K,).
            masks: Not empty, (K, H, W), bool.

        Raises:
            ValueError: If masks have another size than the images.
        """
        if masks.shape[-2:] != images.shape[-2:]:
            raise ValueError(
                'full_size=True: expected masks of the size of the images, '
                f'{tuple(images.shape[-2:])}, got {tuple(masks.shape[-2:])}'
            )
        boxes = mask_boxes(masks).tolist()
        of_image = image_index.tolist()
        embeds = []
        for part in self._chunks(len(boxes)):
            crops = [
                F.interpolate(
                    (images[b] * mask)[None, :, top:bottom, left:right],
                    clip.image_size,
                    mode='bicubic',
                    align_corners=True,
                )
                for b, mask, (left, top, right, bottom) in zip(
                    of_image[part], masks[part], boxes[part], strict=True
                )
            ]
            embeds.append(clip.encode_images(torch.cat(crops)))
        return torch.cat(embeds)

    def _chunks(self, length: int) -> list[slice]:
        size = self.max_crops
        return [slice(i, i + size) for i in range(0, length, size)]

    def _crop_masks(
        self, mask_logits: Tensor, boxes: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Inside of (K, h, w) masks, in blocks of their crops."""
        grid = _grid(boxes, crop_mask_size(size))
        logits = mask_logits[:, None].to(grid.dtype)
        return _sample(logits, grid) > self.threshold_logit


def crop_mask_size(size: tuple[int, int]) -> tuple[int, int]:
    """Blocks of 2 x 2 pixels in a crop, (H, W)."""
    height, width = size
    return (height + 1) // 2, (width + 1) // 2


def fit_crop_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """From blocks to pixels: (K, 1, h, w) bool to (K, 1, *size) float."""
    return F.interpolate(masks.float(), size, mode='nearest')


def _distinct(
    image_index: Tensor, boxes: Tensor, crop_masks: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the crops that differ.

    Crop masks are told apart by a sum of random 64-bit numbers over their
    pixels: two that differ pass for equal with a probability of 2^-64.

    Args:
        image_index: Image of each crop, (K,), ascending.
        boxes: (K, 4).
        crop_masks: (K, 1, h, w), bool.

    Returns:
        One of each set of equal crops, ascending, (U,); and for each crop
        the place of its equal among those, (K,).
    """
    numbers = torch.randint(
        -(2**63),
        2**63 - 1,
        crop_masks.shape[-2:],
        generator=torch.Generator().manual_seed(0),
    ).to(crop_masks.device)
    sums = [
        (part * numbers).flatten(1).sum(1) for part in crop_masks.split(16)
    ]
    digests = torch.stack(
        [
            image_index,
            *boxes.double().view(torch.int64).unbind(-1),
            torch.cat(sums),
        ],
        dim=1,
    )
    distinct, place = digests.unique(dim=0, return_inverse=True)
    chosen = place.new_empty(len(distinct))
    chosen[place] = torch.arange(len(place), device=place.device)
    # in the order of the images
    chosen, order = chosen.sort()
    return chosen, order.argsort()[place]


def _cut(
    images: Tensor,
    image_index: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Cut boxes out of images.

    Args:
        images: (B, 3, H, W).
        image_index: Image of each box, (K,), ascending.
        boxes: As :func:`unit_boxes` returns them, (K, 4).
        size: Size of a crop, (H, W).

    Returns:
        (K, 3, *size).
    """
    grid = _grid(boxes, size)
    per_image = torch.bincount(image_index, minlength=len(images)).tolist()
    # the crops of an image are one tall crop, so that no image is copied
    crops = [
        _sample(image[None], part.flatten(0, 1)[None])
        .unflatten(2, (-1, size[0]))
        .squeeze(0)
        .transpose(0, 1)
        for image, part in zip(images, grid.split(per_image), strict=True)
        if len(part)
    ]
    return torch.cat(crops)


def _grid(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Places of the pixels of crops, (K, *size, 2)."""
    left, top, right, bottom = (2 * boxes - 1).unbind(-1)
    nought = torch.zeros_like(left)
    affine = torch.stack(
        [
            torch.stack([(right - left) / 2, nought, (left + right) / 2], -1),
            torch.stack([nought, (bottom - top) / 2, (top + bottom) / 2], -1),
        ],
        dim=1,
    )
    return F.affine_grid(affine, [boxes.shape[0], 1, *size], False)


def _sample(maps: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(
        maps, grid.to(maps.dtype), padding_mode='border', align_corners=False
    )


def unit_boxes(masks: Tensor) -> Tensor:
    """Tight boxes of non-empty masks, as fractions of the frame.

    Args:
        masks: (K, h, w), bool.

    Returns:
        Left, top, right, bottom edges of the occupied cells in [0, 1],
        (K, 4), float32.
    """
    height, width = masks.shape[-2:]
    left, top, right, bottom = mask_boxes(masks).float().unbind(-1)
    return torch.stack(
        [left / width, top / height, right / width, bottom / height], dim=-1
    )
