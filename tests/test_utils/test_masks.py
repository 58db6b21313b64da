import numpy as np
import pytest
import torch
from mmdet.structures.mask import mask2bbox

from freeseg_mm.utils.masks import fitting, mask_boxes, nearest, segment_box


def test_by_hand():
    masks = torch.zeros(3, 4, 6, dtype=torch.bool)
    masks[0, 1, 2:4] = True
    masks[1, 0, 0] = masks[1, 3, 5] = True
    masks[2, 2:, 5] = True

    expected = [[2, 1, 4, 2], [0, 0, 6, 4], [5, 2, 6, 4]]
    assert mask_boxes(masks).tolist() == expected


def test_equals_mmdet():
    masks = torch.rand(20, 13, 17) > 0.97
    masks = masks[masks.flatten(1).any(1)]
    assert len(masks) > 10

    assert torch.equal(mask_boxes(masks).float(), mask2bbox(masks))


def test_no_mask():
    assert mask_boxes(torch.zeros(0, 3, 4, dtype=torch.bool)).shape == (0, 4)


@pytest.mark.parametrize(
    ('pixels', 'box'),
    [
        ([(2, 3)], [3, 2, 1, 1]),
        ([(0, 0), (4, 1)], [0, 0, 2, 5]),
        ([(1, 6), (3, 2), (2, 4)], [2, 1, 5, 3]),
    ],
)
def test_box_is_xywh_in_whole_pixels(pixels, box):
    mask = np.zeros((5, 7), bool)
    for row, column in pixels:
        mask[row, column] = True
    found = segment_box(mask)
    assert found == box
    assert all(type(number) is int for number in found)


def test_empty_mask():
    with pytest.raises(ValueError, match='an empty mask has no box'):
        segment_box(np.zeros((2, 2), bool))


def test_nearest():
    values = np.array([[1, 2], [3, 4]])
    assert nearest(values, (2, 2)) is values
    np.testing.assert_array_equal(
        nearest(values, (4, 3)), [[1, 1, 2]] * 2 + [[3, 3, 4]] * 2
    )
    np.testing.assert_array_equal(nearest(values, (1, 1)), [[1]])
    assert nearest(np.zeros((0, 2, 2)), (5, 6)).shape == (0, 5, 6)


@pytest.mark.parametrize(
    ('size', 'max_side', 'expected'),
    [
        ((3, 4), 4, (3, 4)),
        ((3000, 4000), 2048, (1536, 2048)),
        ((1, 999), 10, (1, 10)),
    ],
)
def test_fitting(size, max_side, expected):
    assert fitting(size, max_side) == expected
