"""A dataset of four hand-made images of pets."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

# Seen are cat (0), sky (1) and car (2): not where the vocabulary has them.
VOCABULARY = {
    'name': 'pets',
    'classes': ['dog', 'cat', 'grass', 'sky', 'car'],
    'things': ['dog', 'cat', 'car'],
    'unseen': ['dog', 'grass'],
}
CATEGORY_IDS = {'sky': 3, 'cat': 17, 'dog': 5, 'grass': 40, 'car': 1}
SKY, CAT, DOG, CROWD = 100, 3 * 65536 + 7, 300, 256
MAPS = {
    # everything: two seen, one unseen, one crowd, void
    1: [
        [SKY, SKY, SKY, SKY, SKY, 0],
        [SKY, CAT, CAT, SKY, DOG, 0],
        [CROWD, CAT, CAT, DOG, DOG, 0],
        [CROWD, CAT, CAT, DOG, DOG, DOG],
    ],
    # unseen classes alone
    2: [[DOG] * 6, [DOG] * 6, [7] * 6, [7] * 6],
    # a crowd and void: nothing to learn
    3: [[CROWD] * 6, [CROWD] * 6, [0] * 6, [0] * 6],
    4: [[SKY] * 6, [SKY] * 6, [7] * 6, [7] * 6],
}
COLOURS = {
    0: (0, 0, 0),
    SKY: (0, 0, 255),
    CAT: (255, 255, 0),
    DOG: (255, 0, 0),
    CROWD: (0, 255, 255),
    7: (0, 255, 0),
}
SEGMENTS = {
    1: [('sky', SKY), ('dog', DOG), ('cat', CAT), ('cat', CROWD)],
    2: [('dog', DOG), ('grass', 7)],
    3: [('cat', CROWD)],
    4: [('sky', SKY), ('grass', 7)],
}


class Pets:
    """Writes the dataset and makes what tests need from it."""

    def __init__(self, root: Path, cell: int = 1) -> None:
        self.root = root
        self.cell = cell
        self.json = root / 'annotations' / 'panoptic_train.json'
        self.content = {
            'images': [
                {
                    'id': i,
                    'file_name': f'{i}.jpg',
                    'height': 4 * cell,
                    'width': 6 * cell,
                }
                for i in MAPS
            ],
            'annotations': [
                {
                    'image_id': i,
                    'file_name': f'{i}.png',
                    'segments_info': [
                        {
                            'id': id_,
                            'category_id': CATEGORY_IDS[name],
                            'iscrowd': int(id_ == CROWD),
                        }
                        for name, id_ in segments
                    ],
                }
                for i, segments in SEGMENTS.items()
            ],
            'categories': [
                {'id': id_, 'name': name} for name, id_ in CATEGORY_IDS.items()
            ],
        }

    def image(self, number: int) -> Path:
        return self.root / 'train' / f'{number}.jpg'

    def png(self, number: int) -> Path:
        return self.root / 'annotations/panoptic_train' / f'{number}.png'

    def ids(self, number: int) -> np.ndarray:
        """Segment ids of an image as its PNG has them."""
        return np.kron(
            MAPS[number], np.ones((self.cell, self.cell), dtype=int)
        )

    def write(self) -> None:
        self.image(1).parent.mkdir()
        self.png(1).parent.mkdir(parents=True)
        for number in MAPS:
            ids = self.ids(number)
            pixels = np.zeros((*ids.shape, 3), dtype=np.uint8)
            for id_, colour in COLOURS.items():
                pixels[ids == id_] = colour
            Image.fromarray(pixels).save(
                self.image(number), quality=100, subsampling=0
            )
            encode_panoptic_png(ids, self.png(number))
        (self.root / 'vocabulary.json').write_text(json.dumps(VOCABULARY))
        self.write_json()

    def write_json(self) -> None:
        self.json.write_text(json.dumps(self.content))

    def dataset(self, **changes) -> OpenVocabPanopticDataset:
        settings = {
            'data_root': str(self.root),
            'ann_file': 'annotations/panoptic_train.json',
            'data_prefix': {
                'img': 'train/',
                'seg': 'annotations/panoptic_train/',
            },
            'vocabulary': 'vocabulary.json',
            'split': 'seen',
        }
        return OpenVocabPanopticDataset(**(settings | changes))


@pytest.fixture
def pets(tmp_path):
    """Four 4 x 6 images of dogs, cats, grass and sky, as in ``MAPS``."""
    data = Pets(tmp_path / 'pets')
    data.root.mkdir()
    data.write()
    return data


@pytest.fixture
def large_pets(tmp_path):
    """The same with 10 x 10 pixels for each pixel."""
    data = Pets(tmp_path / 'large_pets', cell=10)
    data.root.mkdir()
    data.write()
    return data


@pytest.fixture(autouse=True)
def _mmdet_scope():
    """Pipelines name mmdet's and mmcv's transforms without a scope."""
    init_default_scope('mmdet')
