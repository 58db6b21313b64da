import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from freeseg_mm.datasets.preparation.image_ground_truth import (
    encode_objects,
    gt_of_labels,
    write_gt,
)
from freeseg_mm.datasets.preparation.split_preparation import DatasetLayout
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

# wall, cat, sky, dog; cats and dogs are things
IS_THING = (False, True, False, True)
CLASSES = np.array(
    [
        [0, 0, 1, 1],
        [0, 3, 1, 255],
        [2, 3, 3, 255],
    ],
    dtype=np.uint8,
)
# object 1 lies on a cat and a wall, object 7 on a dog
OBJECTS = np.array(
    [
        [0, 1, 1, 0],
        [0, 7, 0, 0],
        [0, 7, 0, 0],
    ]
)


@pytest.fixture
def layout(tmp_path):
    layout = DatasetLayout(tmp_path, 'train')
    layout.make_folders()
    return layout


def test_without_objects_things_are_exact_crowds():
    gt = gt_of_labels(CLASSES, IS_THING)
    np.testing.assert_array_equal(
        gt.ids, [[1, 1, 2, 2], [1, 4, 2, 0], [3, 4, 4, 0]]
    )
    assert gt.segments == [
        {'id': 1, 'label': 0, 'iscrowd': 0},
        {'id': 2, 'label': 1, 'iscrowd': 1, 'exact': 1},
        {'id': 3, 'label': 2, 'iscrowd': 0},
        {'id': 4, 'label': 3, 'iscrowd': 1, 'exact': 1},
    ]
    assert gt.classes is CLASSES


def test_objects_win_and_the_rest_of_their_class_is_a_crowd():
    gt = gt_of_labels(CLASSES, IS_THING, OBJECTS, {1: 1, 7: 3})
    # 4 classes: object n has id 4 + n
    np.testing.assert_array_equal(
        gt.ids, [[1, 5, 5, 2], [1, 11, 2, 0], [3, 11, 4, 0]]
    )
    assert gt.segments[-2:] == [
        {'id': 5, 'label': 1, 'iscrowd': 0},
        {'id': 11, 'label': 3, 'iscrowd': 0},
    ]
    assert [s['iscrowd'] for s in gt.segments] == [0, 1, 0, 1, 0, 0]


def test_files_and_annotation(layout):
    gt = gt_of_labels(CLASSES, IS_THING, OBJECTS, {1: 1, 7: 3})
    info = write_gt(gt, layout, '1.png')
    np.testing.assert_array_equal(
        decode_panoptic_png(layout.panoptic_pngs / '1.png'), gt.ids
    )
    with Image.open(layout.semantic_pngs / '1.png') as image:
        np.testing.assert_array_equal(np.array(image), CLASSES)
    assert info[1] == {
        'id': 2,
        'category_id': 2,
        'iscrowd': 1,
        'exact': 1,
        'area': 2,
        'bbox': [2, 0, 2, 2],
    }
    assert info[-1] == {
        'id': 11,
        'category_id': 4,
        'iscrowd': 0,
        'area': 2,
        'bbox': [1, 1, 1, 2],
    }
    assert json.loads(json.dumps(info)) == info


def test_segment_without_pixel_is_left_out(layout):
    gt = gt_of_labels(CLASSES, IS_THING)
    gt.segments.append({'id': 99, 'label': 0, 'iscrowd': 0})
    info = write_gt(gt, layout, '1.png')
    assert [segment['id'] for segment in info] == [1, 2, 3, 4]


def test_objects_are_single_things():
    gt = gt_of_labels(CLASSES, IS_THING, OBJECTS, {1: 1, 7: 3})
    gt.segments[1].pop('exact')  # a crowd as COCO draws it
    objects = encode_objects(gt, IS_THING)
    assert [(o['category_id'], o['iscrowd']) for o in objects] == [
        (2, 1),
        (2, 0),
        (4, 0),
    ]
    np.testing.assert_array_equal(
        coco_mask.decode(objects[1]['segmentation']), gt.ids == 5
    )
    assert objects[1]['area'] == 2
