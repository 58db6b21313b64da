"""Masks of COCO's JSON, which C code would read without a look."""

import re

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from freeseg_mm.utils.coco_masks import run_length_code

SIZE = (4, 6)
BOX = [1, 1, 3, 1, 3, 3, 1, 3]
COUNTS = [5, 2, 2, 2, 13]


def text_of(counts, size=SIZE):
    code = coco_mask.frPyObjects({'size': list(size), 'counts': counts}, *size)
    return code['counts'].decode()


@pytest.mark.parametrize(
    'segmentation',
    [
        [BOX],
        [BOX, [0, 0, 1, 1]],
        [[1, 1, 2, 1, 2, 3, 1, 3], [2, 1, 3, 1, 3, 3, 2, 3]],
        {'size': [4, 6], 'counts': COUNTS},
        {'size': [4, 6], 'counts': text_of(COUNTS)},
        {'size': [4, 6], 'counts': text_of(COUNTS).encode()},
    ],
)
def test_each_code_of_a_mask(segmentation):
    # columns first: 5 pixels, then rows 1 and 2 of column 1, and of column 2
    expected = np.zeros(SIZE, bool)
    expected[1:3, 1:3] = True
    code = run_length_code(segmentation, SIZE)
    np.testing.assert_array_equal(coco_mask.decode(code), expected)


@pytest.mark.parametrize(
    'segmentation', [[[1, 1, 3, 1]], [[]], {'size': [4, 6], 'counts': [24]}]
)
def test_no_pixel(segmentation):
    assert coco_mask.area(run_length_code(segmentation, SIZE)) == 0


def test_every_text_that_pycocotools_writes():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = tuple(map(int, rng.integers(1, 90, 2)))
        mask = (rng.random(size) < rng.random()).astype(np.uint8)
        code = coco_mask.encode(np.asfortranarray(mask))
        assert run_length_code(code, size) == code
    # runs of many signs, and negative differences
    counts = [0, 3_000_000, 2, 40, 5_999_958]
    text = text_of(counts, (3000, 3000))
    run_length_code({'size': [3000, 3000], 'counts': text}, (3000, 3000))


@pytest.mark.parametrize(
    'segmentation',
    [
        None,
        'text',
        [],
        {},
        [[1, 2, 3]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [['1', '2', '3', '4', '5', '6']],
        [[True] * 6],
        {'counts': [24]},
        {'counts': [20], 'size': [4, 5]},
        {'counts': None, 'size': [4, 6]},
        # each of these crashed the process, or read its memory
        [[0, 0, 1e9, 0, 1e9, 1e9]],
        [[0, 0, float('nan'), 0, 5, 5]],
        [[0, 0, float('inf'), 0, 5, 5]],
        [[-1e12, 0, 5, 0, 5, 5]],
        {'size': [4, 6], 'counts': [3]},
        {'size': [4, 6], 'counts': [2**32]},
        {'size': [4, 6], 'counts': [-5, 29]},
        {'size': [4, 6], 'counts': [0, 24, 2**64]},
        {'size': [4, 6], 'counts': [1.5, 22.5]},
        {'size': [4, 6], 'counts': ''},
        {'size': [4, 6], 'counts': '01'},
        {'size': [4, 6], 'counts': '\xe9'},
        {'size': [4, 6], 'counts': 'zzzzzzzz'},
        {'size': [4, 6], 'counts': 'o' * 1000},
        {'size': [4, 6], 'counts': text_of([24]) + 'o'},
        {'size': [4, 6], 'counts': '\0'},
    ],
)
def test_what_is_no_mask(segmentation):
    with pytest.raises(ValueError, match='it is no poly|its (mask|run-len)'):
        run_length_code(segmentation, SIZE)


@pytest.mark.parametrize('size', [(0, 6), (10**6, 10**6)])
def test_size_that_no_image_has(size):
    with pytest.raises(ValueError, match=re.escape(f'size {size}')):
        run_length_code([BOX], size)
