import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from freeseg_mm.utils.run_lengths import encode_mask, encode_masks, joint_runs


def test_joint_runs_by_hand():
    one = np.array([[5, 5, 5], [5, 7, 7]])
    other = np.array([[0, 0, 1], [1, 1, 1]], np.uint8)
    *values, pixels = joint_runs(one, other)
    # runs go on from the end of a row to the head of the next
    assert [x.tolist() for x in values] == [[5, 5, 7], [0, 1, 1]]
    assert pixels.tolist() == [2, 2, 2]


@pytest.mark.parametrize('shape', [(1, 1), (7, 5), (0, 4)])
def test_joint_runs_hold_every_pixel(shape):
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 2, (3, *shape))
    *values, pixels = joint_runs(*maps)
    for each, runs in zip(maps, values, strict=True):
        assert np.repeat(runs, pixels).tolist() == each.ravel().tolist()


def test_mask_code_is_json():
    code = encode_mask(np.eye(3, dtype=bool))
    again = json.loads(json.dumps(code))
    np.testing.assert_array_equal(coco_mask.decode(again), np.eye(3))


@pytest.mark.parametrize(
    'shape',
    [(3, 1, 1), (5, 3, 7), (2, 7, 3), (4, 1, 9), (4, 9, 1), (0, 4, 4)],
)
@pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.99, 1])
def test_codes_are_those_of_pycocotools(shape, share):
    masks = np.random.default_rng(0).random(shape) < share
    assert encode_masks(masks) == [
        coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks
    ]


def test_codes_of_many_and_of_large_masks():
    """More pixels than a block has, and runs of up to five signs."""
    masks = np.zeros((9, 1100, 1000), bool)
    for index, mask in enumerate(masks):
        mask[index : 700 + 40 * index, 3 * index : 900] = index != 4
        mask[500, 400] = not mask[500, 400]
    masks[8] = True
    assert encode_masks(masks) == [
        coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks
    ]


def test_image_without_a_pixel_is_refused():
    with pytest.raises(ValueError, match=r'size \(0, 4\)'):
        encode_masks(np.zeros((2, 0, 4), bool))
