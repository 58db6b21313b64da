"""Public downloads of a few tiny images, and fixtures that write them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.datasets.preparation.coco_merge import (
    fine_categories,
    panoptic_categories,
)
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

__all__ = [
    'AdeTree',
    'CocoTree',
    'VocTree',
    'ade_tree',
    'coco_tree',
    'fine_id',
    'voc_tree',
]

PERSON, ROAD, TREE_MERGED = 1, 149, 184
# A person (id 7) before trees (300) on a road (5), and void.
PANOPTIC_IDS = np.array(
    [
        [300, 300, 300, 300, 0, 0],
        [300, 300, 7, 300, 0, 0],
        [300, 7, 7, 7, 0, 0],
        [300, 7, 7, 7, 0, 0],
        [5, 5, 7, 5, 5, 0],
        [5, 5, 5, 5, 5, 0],
    ]
)
SEGMENTS = [
    {'id': 7, 'category_id': PERSON, 'iscrowd': 0},
    {'id': 300, 'category_id': TREE_MERGED, 'iscrowd': 0},
    {'id': 5, 'category_id': ROAD, 'iscrowd': 0},
]


class CocoTree:
    """Writes a download and knows where its files are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.annotations = root / 'annotations'

    def write(self, split: str, num_images: int) -> None:
        for folder in (
            self.root / split,
            self.annotations / f'panoptic_{split}',
            self.root / 'stuffthingmaps' / split,
        ):
            folder.mkdir(parents=True)
        images, annotations = [], []
        rng = np.random.default_rng(0)
        for index in range(num_images):
            stem = f'{index:012}'
            pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.root / split / f'{stem}.jpg')
            encode_panoptic_png(
                PANOPTIC_IDS, self.annotations / f'panoptic_{split}/{stem}.png'
            )
            # bush, tree, road, person or unlabelled
            labels = rng.choice([96, 168, 148, 0, 255], (6, 6))
            self.write_labels(split, stem, labels)
            images.append(
                {
                    'id': index + 1,
                    'file_name': f'{stem}.jpg',
                    'height': 6,
                    'width': 6,
                    'license': 4,
                }
            )
            annotations.append(
                {
                    'image_id': index + 1,
                    'file_name': f'{stem}.png',
                    'segments_info': SEGMENTS,
                }
            )
        categories = [
            {'id': id_, 'name': name, 'isthing': int(id_ < 91)}
            for id_, name in panoptic_categories().items()
        ]
        self.write_json(
            f'panoptic_{split}',
            {
                'licenses': [{'id': 4, 'name': 'BY'}],
                'images': images,
                'annotations': annotations,
                'categories': categories,
            },
        )
        self.write_json(f'instances_{split}', {'images': images})

    def write_labels(self, split: str, stem: str, labels: np.ndarray) -> None:
        path = self.root / 'stuffthingmaps' / split / f'{stem}.png'
        Image.fromarray(labels.astype(np.uint8)).save(path)

    def read_json(self, name: str) -> dict:
        return json.loads((self.annotations / f'{name}.json').read_text())

    def write_json(self, name: str, content: dict) -> None:
        (self.annotations / f'{name}.json').write_text(json.dumps(content))


@pytest.fixture
def coco_tree(tmp_path):
    """Twelve images of train2017, three of val2017."""
    tree = CocoTree(tmp_path / 'source')
    tree.write('train2017', 12)
    tree.write('val2017', 3)
    return tree


@pytest.fixture(scope='session')
def fine_id():
    """Category id by name of the 171 classes."""
    return {name: id_ for id_, name in fine_categories().items()}


class AdeTree:
    """Writes a small ADE20K and knows where its files are."""

    def __init__(self, root: Path) -> None:
        self.root = root / 'ADEChallengeData2016'

    def image(self, split: str, number: int) -> Path:
        return self._path('images', split, number, 'jpg')

    def semantic(self, split: str, number: int) -> Path:
        return self._path('annotations', split, number, 'png')

    def instance(self, split: str, number: int) -> Path:
        return self._path('annotations_instance', split, number, 'png')

    def _path(self, kind, split, number, suffix) -> Path:
        stem = f'ADE_{split[:-4]}_{number:08}'
        return self.root / kind / split / f'{stem}.{suffix}'

    def write(self, split: str, num_images: int) -> None:
        rng = np.random.default_rng(0)
        for number in range(1, num_images + 1):
            image = self.image(split, number)
            for path in (image, self.semantic(split, number)):
                path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (*ADE_LABELS.shape, 3), np.uint8)
            Image.fromarray(pixels).save(image)
            Image.fromarray(ADE_LABELS).save(self.semantic(split, number))

    def write_instances(self, split: str, num_images: int) -> None:
        for number in range(1, num_images + 1):
            path = self.instance(split, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ADE_INSTANCES).save(path)


# other, wall (1), bed (8), person (13), flag (150)
ADE_LABELS = np.array(
    [
        [0, 1, 1, 8, 8, 8],
        [1, 1, 1, 8, 8, 8],
        [13, 13, 1, 8, 8, 150],
        [13, 13, 0, 0, 0, 150],
    ],
    dtype=np.uint8,
)
# Class and number: two beds (1), one of them onto the wall, and the flag
# (100); nobody told the persons apart, and a part of a bed has no number.
ADE_INSTANCES = np.stack(
    [
        [
            [0, 0, 1, 1, 1, 1],
            [0, 0, 1, 1, 1, 1],
            [0, 0, 0, 1, 1, 100],
            [0, 0, 0, 0, 0, 100],
        ],
        [
            [0, 0, 1, 1, 2, 2],
            [0, 0, 1, 1, 2, 2],
            [0, 0, 0, 0, 0, 3],
            [0, 0, 0, 0, 0, 3],
        ],
        [[0] * 6] * 4,
    ],
    axis=-1,
).astype(np.uint8)


@pytest.fixture
def ade_tree(tmp_path):
    """Twelve training and three validation images, without objects."""
    tree = AdeTree(tmp_path / 'source')
    tree.write('training', 12)
    tree.write('validation', 3)
    return tree


class VocTree:
    """Writes a small VOC 2012 and knows where its files are."""

    def __init__(self, root: Path) -> None:
        self.root = root / 'VOCdevkit' / 'VOC2012'
        self.masks = self.root / 'SegmentationClassAug'
        self.lists = self.root / 'ImageSets' / 'Segmentation'

    def image(self, number: int) -> Path:
        return self.root / 'JPEGImages' / f'2007_{number:06}.jpg'

    def mask(self, number: int) -> Path:
        return self.masks / f'2007_{number:06}.png'

    def write(self) -> None:
        for folder in (self.root / 'JPEGImages', self.masks, self.lists):
            folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number in range(12):
            pixels = rng.integers(0, 256, (*VOC_LABELS.shape, 3), np.uint8)
            Image.fromarray(pixels).save(self.image(number))
            palette = Image.fromarray(VOC_LABELS, mode='P')
            palette.putpalette(rng.integers(0, 256, 768).tolist())
            palette.save(self.mask(number))
        # the list of the augmented masks, and VOC's own kind of list
        self.lists.joinpath('trainaug.txt').write_text(
            '\n'.join(
                f'/JPEGImages/2007_{number:06}.jpg '
                f'/SegmentationClassAug/2007_{number:06}.png'
                for number in range(8)
            )
        )
        self.lists.joinpath('val.txt').write_text(
            ''.join(f'2007_{number:06}\n' for number in range(8, 11))
        )


# background, aeroplane (1), cow (10), tvmonitor (20), void
VOC_LABELS = np.array(
    [
        [0, 0, 255, 10, 10],
        [0, 1, 255, 10, 10],
        [0, 1, 0, 20, 255],
        [0, 1, 0, 20, 255],
    ],
    dtype=np.uint8,
)


@pytest.fixture
def voc_tree(tmp_path):
    """Eight training and three validation images; one is in no list."""
    tree = VocTree(tmp_path / 'source')
    tree.write()
    return tree
