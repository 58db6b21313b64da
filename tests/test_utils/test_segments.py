import numpy as np
import pytest

from freeseg_mm.utils.mask_boxes import segment_box


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
