"""Segments of generated scenes, cut out and captioned for CLIP."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align
from tqdm import tqdm

from freeseg_mm.models.clip.crop_mask_classifier import unit_boxes
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.open_image import read_rgb
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

from .classes import caption
from .world import VOCABULARY

# A thing lies on the stuff that fills most of its box, enlarged by this share
# of its length on each side.
_PLACE_CONTEXT = 0.3
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


@dataclass(frozen=True)
class SegmentCrops:
    """All segments of a split: N of them in M scenes of side S.

    Attributes:
        vocabulary: The classes of the data.
        images: RGB, (M, 3, S, S), uint8.
        segments: Number within its scene of the segment each pixel shows,
            (M, S, S), uint8.
        scenes: Scene of each segment, (N,), int64.
        numbers: Number within its scene of each segment, (N,), uint8.
        labels: Class index of each segment, (N,), int64.
        boxes: Tight boxes, xyxy in pixels of the scene, (N, 4), float32.
        places: Class index of the stuff around each segment, (N,), int64.
    """

    vocabulary: Vocabulary
    images: Tensor
    segments: Tensor
    scenes: Tensor
    numbers: Tensor
    labels: Tensor
    boxes: Tensor
    places: Tensor

    @classmethod
    def load(cls, root: str | Path, split: str) -> 'SegmentCrops':
        """Read a split of a folder that ``freeseg-mm shapes make`` wrote.

        Raises:
            FileNotFoundError: If the folder lacks a file.
            ValueError: If a file is damaged.
        """
        root = Path(root)
        vocabulary = Vocabulary.load(root / VOCABULARY)
        content = read_json(
            root / 'annotations' / f'panoptic_{split}.json',
            lists=('images', 'annotations', 'categories'),
        )
        names = {
            image['id']: image['file_name'] for image in content['images']
        }
        label_of = {
            category['id']: vocabulary.index(category['name'])
            for category in content['categories']
        }
        folder = root / 'annotations' / f'panoptic_{split}'
        images, maps, segments = [], [], []
        for scene, annotation in enumerate(
            tqdm(content['annotations'], desc=f'reading {split}', unit='scene')
        ):
            path = root / split / names[annotation['image_id']]
            images.append(read_rgb(path))
            ids = decode_panoptic_png(folder / annotation['file_name'])
            infos = annotation['segments_info']
            numbers = np.zeros(ids.shape, np.uint8)
            for number, info in enumerate(infos, start=1):
                numbers[ids == info['id']] = number
            maps.append(numbers)
            labels = np.array(
                [label_of[info['category_id']] for info in infos]
            )
            boxes = [info['bbox'] for info in infos]
            places = _find_places(labels[numbers - 1], boxes, vocabulary)
            segments += [
                (scene, number, label, (x, y, x + width, y + height), place)
                for number, (label, (x, y, width, height), place) in enumerate(
                    zip(labels, boxes, places, strict=True), start=1
                )
            ]
        columns = [list(column) for column in zip(*segments, strict=True)]
        pixels = np.stack(images).transpose(0, 3, 1, 2)
        return cls(
            vocabulary=vocabulary,
            images=torch.from_numpy(np.ascontiguousarray(pixels)),
            segments=torch.from_numpy(np.stack(maps)),
            scenes=torch.tensor(columns[0]),
            numbers=torch.tensor(columns[1], dtype=torch.uint8),
            labels=torch.tensor(columns[2]),
            boxes=torch.tensor(columns[3], dtype=torch.float32),
            places=torch.tensor(columns[4]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def masks(self, rows: Tensor) -> Tensor:
        """Masks of some segments, (B, S, S), bool."""
        numbers = self.numbers[rows, None, None]
        return self.segments[self.scenes[rows]] == numbers

    def cut(
        self,
        rows: Tensor,
        *,
        boxes: Tensor,
        masks: Tensor,
        side: int,
    ) -> tuple[Tensor, Tensor]:
        """Cut boxes out and stretch them to squares, bilinearly.

        Args:
            rows: Segments, (B,), int64; they choose the scenes.
            boxes: Boxes, xyxy in pixels of the scene, (B, 4), float32.
            masks: Masks in the scene, (B, S, S), float32, 0 to 1.
            side: Side of the crops in pixels.

        Returns:
            RGB crops, (B, 3, side, side), float32, 0 to 255, and the masks
            in them, (B, side, side), float32, 0 to 1.
        """
        scenes = self.images[self.scenes[rows]].float()
        regions = [box[None] for box in boxes]
        pixels, cut_masks = (
            roi_align(source, regions, side, 1.0, 1, aligned=True)
            for source in (scenes, masks[:, None])
        )
        return pixels, cut_masks[:, 0]


class CropSampler:
    """Draw training batches for a contrastive loss.

    A batch consists of groups that hold every class exactly once. The loss
    is taken within a group: two crops of one class, of which each caption is
    true of both, are thereby never pushed apart.

    Most crops are blanked outside of a mask, as CLIP sees them in FreeSeg.

    Attributes:
        long_every: Every such batch of a training has long captions.

    Args:
        crops: Segments of all classes.
        mean: Mean of CLIP's normalization per channel, 0 to 1.
        std: Its standard deviation.
        side: Side of CLIP's images in pixels.
        rng: Source of randomness.

    Raises:
        ValueError: If a class has no segment.
    """

    long_every = 3

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
            Images for CLIP, (G * C, 3, side, side), normalized, and their
            captions.
        """
        rows = torch.from_numpy(
            np.array(
                [
                    self._rng.choice(pool)
                    for _ in range(num_groups)
                    for pool in self._pools
                ]
            )
        )
        return self.show(rows, long=long)

    def show(self, rows: Tensor, *, long: bool) -> tuple[Tensor, list[str]]:
        """Draw an image and a caption of each of some segments (B,).

        Args:
            rows: Segments, (B,), int64.
            long: As for :meth:`batch`.

        Returns:
            As of :meth:`batch`.
        """
        rng, crops = self._rng, self._crops
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
        images = self._lit(pixels)
        images = torch.where(
            blank[:, None, None, None], blank_outside(images, masks), images
        )
        return self._mirrored(images)

    def _lit(self, pixels: Tensor) -> Tensor:
        """Normalize pixels, 0 to 255, in one of many lights."""
        pixels = pixels * self._draw(_GAINS, (len(pixels), 1, 1, 1))
        return normalize(pixels.clamp(0, 255), self._mean, self._std)

    def _mirrored(self, images: Tensor) -> Tensor:
        mirrored = self._chosen(len(images), 0.5)
        images[mirrored] = images[mirrored].flip(-1)
        return images

    def _move(self, boxes: Tensor, blank: Tensor, limit: int) -> Tensor:
        """Move the sides of boxes, mostly outwards."""
        jitter, context = (
            self._draw(shares, boxes.shape) for shares in (_JITTER, _CONTEXT)
        )
        outwards = torch.where(blank[:, None], jitter, context)
        lengths = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
        return (boxes + signs * outwards * lengths).clamp(0, limit)

    def _draw(
        self, limits: tuple[float, float], shape: tuple[int, ...]
    ) -> Tensor:
        values = self._rng.uniform(*limits, shape)
        return torch.from_numpy(values.astype(np.float32))

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
    """Give all but the mask the mean colour, which is 0 after normalizing.

    Args:
        images: Normalized, (B, 3, H, W).
        masks: 0 to 1, (B, H, W).
    """
    return images * (masks > 0.5)[:, None]


def coarsen(masks: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Masks and boxes as a map of a quarter of the scene leaves them.

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


def _find_places(
    label_map: np.ndarray,
    boxes: Sequence[Sequence[int]],
    vocabulary: Vocabulary,
) -> list[int]:
    """Class index of the stuff that fills most of each enlarged box.

    Args:
        label_map: Class index of each pixel, (S, S).
        boxes: Boxes as COCO's x, y, width, height.
        vocabulary: The classes.
    """
    is_stuff = ~np.array(vocabulary.is_thing)
    places = []
    for x, y, width, height in boxes:
        dx, dy = round(_PLACE_CONTEXT * width), round(_PLACE_CONTEXT * height)
        around = label_map[
            max(0, y - dy) : y + height + dy, max(0, x - dx) : x + width + dx
        ]
        counts = np.bincount(around.ravel(), minlength=len(vocabulary))
        places.append(int(np.argmax(counts * is_stuff)))
    return places
