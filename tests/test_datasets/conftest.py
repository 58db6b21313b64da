"""A data set of four hand-made images of pets."""

import json
from pathlib import Path

import numpy as np
import pytest
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
SEGMENTS = {
    1: [('sky', SKY), ('dog', DOG), ('cat', CAT), ('cat', CROWD)],
    2: [('dog', DOG), ('grass', 7)],
    3: [('cat', CROWD)],
    4: [('sky', SKY), ('grass', 7)],
}


class Pets:
    """Writes the data set and makes what tests need from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.json = root / 'annotations' / 'panoptic_train.json'
        self.content = {
            'images': [
                {'id': i, 'file_name': f'{i}.jpg', 'height': 4, 'width': 6}
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

    def write(self) -> None:
        self.image(1).parent.mkdir()
        self.png(1).parent.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number, ids in MAPS.items():
            pixels = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.image(number))
            encode_panoptic_png(np.array(ids), self.png(number))
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
    """Four 4 x 6 images of dogs, cats, grass and sky."""
    data = Pets(tmp_path / 'pets')
    data.root.mkdir()
    data.write()
    return data
