"""Segments of generated scenes, cut out as CLIP is shown them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import roi_align
from tqdm import tqdm

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

from .writer import VOCABULARY

# A thing lies on the stuff that fills most of its box, enlarged by this share
# of its length on each side.
_PLACE_CONTEXT = 0.3


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
            with Image.open(path) as image:
                images.append(np.asarray(image.convert('RGB')))
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
