"""Pseudo labels of one image beside its ground truth, by hand."""

import json

import numpy as np
import pytest
from mmengine.config import Config

from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.recipes.self_training.measuring import (
    compare_with_hidden_gt,
)
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

# 1 is a seen cat, 2 a dog, 3 a dog, 4 grass.
GT = [[1, 1, 2, 2, 2, 2], [1, 1, 3, 3, 4, 4]]
# 5 has 3 of the 4 pixels of a dog; 6 is called a dog: 1 pixel of one, 1 not.
FOUND = [[0, 0, 5, 5, 5, 0], [0, 0, 0, 6, 6, 0]]
TRUE_NAMES = ['cat', 'dog', 'dog', 'grass']


@pytest.fixture
def files(tmp_path):
    (tmp_path / 'vocabulary.json').write_text(
        json.dumps(
            {'classes': ['cat', 'dog', 'grass'], 'unseen': ['dog', 'grass']}
        )
    )
    image = {'id': 7, 'file_name': '7.jpg', 'height': 2, 'width': 6}
    ids = {'cat': 1, 'dog': 2, 'grass': 3}
    gt = {
        'images': [image],
        'annotations': [
            {
                'image_id': 7,
                'file_name': '7.png',
                'segments_info': [
                    {'id': number, 'category_id': ids[name]}
                    for number, name in enumerate(TRUE_NAMES, 1)
                ],
            }
        ],
        'categories': [{'id': i, 'name': name} for name, i in ids.items()],
    }
    (tmp_path / 'gt.json').write_text(json.dumps(gt))
    encode_panoptic_png(np.array(GT), tmp_path / '7.png')
    files = PseudoLabelFiles(tmp_path / 'pseudo')
    files.pngs.mkdir(parents=True)
    encode_panoptic_png(np.array(FOUND), files.pngs / '7.png')
    files.json.write_text(
        json.dumps(
            {
                'info': {},
                'images': [image],
                'annotations': [
                    {
                        'image_id': 7,
                        'file_name': '7.png',
                        'segments_info': [
                            {'id': 5, 'category_id': 2, 'score': 0.9},
                            {'id': 6, 'category_id': 2, 'score': 0.5},
                        ],
                    }
                ],
                'categories': [{'id': 2, 'name': 'dog'}],
            }
        )
    )
    return files


@pytest.fixture
def config(tmp_path):
    return Config(
        {
            'train_dataloader': {
                'dataset': {
                    'type': 'freeseg_mm.OpenVocabPanopticDataset',
                    'data_root': str(tmp_path),
                    'ann_file': 'gt.json',
                    'vocabulary': 'vocabulary.json',
                    'split': 'seen',
                }
            }
        }
    )


def test_counts_by_hand(files, config):
    gt = compare_with_hidden_gt(config, files.root)
    assert (gt.segments, gt.area) == (3, 8)
    first, second = gt.found
    assert (first.area, first.right_area, first.iou) == (3, 3, 3 / 4)
    # 6 shares one pixel with a dog of two: 1 / 3
    assert (second.area, second.right_area) == (2, 1)
    assert second.iou == pytest.approx(1 / 3)
    lines = gt.table([0.0, 0.6, 0.95]).splitlines()
    assert lines[0] == '3 true segments of unseen classes'
    assert [line.split() for line in lines[2:]] == [
        ['0.00', '2', '50.0', '33.3', '80.0', '50.0'],
        ['0.60', '1', '100.0', '33.3', '100.0', '37.5'],
        ['0.95', '0', '-', '0.0', '-', '0.0'],
    ]


def test_image_of_other_data_is_refused(files, config):
    content = json.loads(files.json.read_text())
    content['annotations'][0]['image_id'] = 8
    files.json.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='image id 8 is not in .*gt.json'):
        compare_with_hidden_gt(config, files.root)
