"""Batches of varied crops with captions, each class once in a group."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from freeseg_mm.models.clip.crop_mask_classifier import unit_boxes

from .captions import caption
from .crops import SegmentCrops

# Most crops are blanked outside of the mask, as CLIP sees them in FreeSeg;
# the others show their surroundings, as photographs do.
_BLANK_PROBABILITY = 0.7
# FreeSeg predicts masks on a map of a quarter of the image: some crops
# get the mask and the box that such a map leaves of the true ones.
_COARSE_PROBABILITY = 0.3
_COARSE_STRIDE = 4
# How far each side of a blanked crop's box moves outwards, as a share of its
# length: predicted masks are rarely exact.
_JITTER = (-0.06, 0.1)
# Surroundings of the other crops, likewise.
_CONTEXT = (0.0, 0.4)
_GAINS = (0.85, 1.15)


class CropSampler:
    """Draw training batches for a contrastive loss.

    A batch consists of groups that hold every class exactly once. The loss
    is taken within a group: two crops of one class, of which each caption is
    true of both, are thereby never pushed apart.

    Args:
        crops: Segments of all classes.
        mean: Mean of CLIP's normalisation per channel, 0 to 1.
        std: Its standard deviation.
        side: Side of CLIP's images in pixels.
        rng: Source of randomness.

    Raises:
        ValueError: If a class has no segment.
    """

    def __init__(
        self,
        crops: SegmentCrops,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        side: int,
        rng: np.random.Generator,
    ) -> None:
        names = crops.vocabulary.names
        self._pools = [
            np.flatnonzero(crops.labels.numpy() == label)
            for label in range(len(names))
        ]
        absent = [
            name
            for name, pool in zip(names, self._pools, strict=True)
            if not pool.size
        ]
        if absent:
            raise ValueError(
                f'no segment of {absent} among the {len(crops)} that CLIP '
                'shall learn from; generate more scenes (freeseg-mm shapes '
                'make --clip)'
            )
        self._crops = crops
        self._mean = mean
        self._std = std
        self._side = side
        self._rng = rng

    def batch(
        self, num_groups: int, *, long: bool
    ) -> tuple[Tensor, list[str]]:
        """Draw crops and captions, group after group, C of each.

        Args:
            num_groups: Number of groups G.
            long: Whether captions are long, see :func:`caption`.

        Returns:
            Images for CLIP, (G * C, 3, side, side), normalised, and their
            captions.
        """
        rng, crops = self._rng, self._crops
        rows = torch.from_numpy(
            np.array(
                [
                    rng.choice(pool)
                    for _ in range(num_groups)
                    for pool in self._pools
                ]
            )
        )
        blank = rng.random(len(rows)) < _BLANK_PROBABILITY
        images = self._images(rows, torch.from_numpy(blank))
        names = crops.vocabulary.names
        captions = [
            caption(
                names[crops.labels[row]],
                rng,
                place=None if hidden else names[crops.places[row]],
                long=long,
            )
            for row, hidden in zip(rows, blank, strict=True)
        ]
        return images, captions

    def _images(self, rows: Tensor, blank: Tensor) -> Tensor:
        crops = self._crops
        masks = crops.masks(rows).float()
        boxes = crops.boxes[rows]
        coarse = self._chosen(len(rows), _COARSE_PROBABILITY)
        masks[coarse], boxes[coarse] = coarsen(masks[coarse], boxes[coarse])
        boxes = self._move(boxes, blank, masks.shape[-1])
        pixels, masks = crops.cut(
            rows,
            boxes=boxes,
            masks=masks,
            side=self._side,
        )
        gains = torch.from_numpy(
            self._rng.uniform(*_GAINS, (len(rows), 1, 1, 1)).astype(np.float32)
        )
        pixels = (pixels * gains).clamp(0, 255)
        images = normalize(pixels, self._mean, self._std)
        images = torch.where(
            blank[:, None, None, None], blank_outside(images, masks), images
        )
        mirrored = self._chosen(len(rows), 0.5)
        images[mirrored] = images[mirrored].flip(-1)
        return images

    def _move(self, boxes: Tensor, blank: Tensor, limit: int) -> Tensor:
        """Move the sides of boxes, mostly outwards."""
        jitter, context = (
            torch.from_numpy(
                self._rng.uniform(*shares, boxes.shape).astype(np.float32)
            )
            for shares in (_JITTER, _CONTEXT)
        )
        outwards = torch.where(blank[:, None], jitter, context)
        lengths = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
        return (boxes + signs * outwards * lengths).clamp(0, limit)

    def _chosen(self, count: int, probability: float) -> Tensor:
        return torch.from_numpy(self._rng.random(count) < probability)


def normalize(
    pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Bring RGB (B, 3, H, W) from 0..255 to what a CLIP image tower takes."""
    shift = torch.tensor(mean).view(3, 1, 1)
    scale = torch.tensor(std).view(3, 1, 1)
    return (pixels / 255 - shift) / scale


def blank_outside(images: Tensor, masks: Tensor) -> Tensor:
    """Give all but the mask the mean colour, which is 0 after normalising.

    Args:
        images: Normalised, (B, 3, H, W).
        masks: 0 to 1, (B, H, W).
    """
    return images * (masks > 0.5)[:, None]


def coarsen(masks: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """What a map of a quarter of the scene leaves of masks and boxes.

    Thin segments of which nothing would be left stay as they are.

    Args:
        masks: (B, S, S), 0 or 1.
        boxes: xyxy in pixels, (B, 4).

    Returns:
        Masks, (B, S, S), 0 to 1, to be cut at 0.5, and boxes.
    """
    cells = F.avg_pool2d(masks[:, None], _COARSE_STRIDE)
    size = masks.shape[-2:]
    coarse = F.interpolate(
        cells, size=size, mode='bilinear', align_corners=False
    )[:, 0]
    inside = cells[:, 0] > 0.5
    is_left = inside.flatten(1).any(1)
    masks = torch.where(is_left[:, None, None], coarse, masks)
    boxes = boxes.clone()
    boxes[is_left] = size[0] * unit_boxes(inside[is_left])
    return masks, boxes
