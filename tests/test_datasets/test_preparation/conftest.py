"""A COCO download of a few 6 x 6 images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.datasets.preparation.coco_categories import (
    fine_categories,
    panoptic_categories,
)
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

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
