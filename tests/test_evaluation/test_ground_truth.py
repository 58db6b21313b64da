import os

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.evaluation import ground_truth
from freeseg_mm.evaluation.ground_truth import (
    IGNORED,
    read_panoptic_gt,
    read_semantic_gt,
)
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

IDS = np.array([[0, 70000, 70000], [5, 5, 8]])
SEGMENTS = [(5, 2, 0), (8, 0, 1), (70000, 1, 0)]


@pytest.fixture
def sample(write_gt):
    return write_gt(IDS, SEGMENTS)


@pytest.fixture
def semantic_png(tmp_path, sample):
    """Give the sample a semantic PNG of the values."""

    def write(values, mode='L'):
        path = tmp_path / 'semantic.png'
        Image.fromarray(np.asarray(values, np.uint8)).convert('L').save(path)
        if mode != 'L':
            Image.open(path).convert(mode).save(path)
        return {**sample, 'sem_seg_path': str(path)}

    return write


def test_panoptic_ids(sample):
    np.testing.assert_array_equal(read_panoptic_gt(sample), IDS)


def test_semantic_gt_is_painted_without_void_and_crowd(sample):
    assert read_semantic_gt(sample, 3).tolist() == [
        [IGNORED, 1, 1],
        [2, 2, IGNORED],
    ]


def test_exact_crowd_is_painted_too(sample):
    for segment in sample['segments']:
        segment['exact'] = segment['iscrowd']
    assert (read_semantic_gt(sample, 3) != IGNORED).sum() == 5


def test_image_without_segments_is_ignored_whole(write_gt):
    sample = write_gt(np.zeros((2, 2), int), [])
    assert (read_semantic_gt(sample, 3) == IGNORED).all()


def test_semantic_png_goes_before_the_panoptic_one(semantic_png):
    sample = semantic_png([[255, 0, 0], [2, 1, 1]])
    expected = [[IGNORED, 0, 0], [2, 1, 1]]
    assert read_semantic_gt(sample, 3).tolist() == expected
    del sample['seg_map_path'], sample['segments']
    assert read_semantic_gt(sample, 3).tolist() == expected


def test_palette_png_holds_class_indices(tmp_path, sample):
    # as the VOC label maps
    image = Image.fromarray(np.array([[0, 1, 255], [2, 2, 2]], np.uint8))
    image.putpalette([7, 7, 7] * 256)
    image.save(tmp_path / 'palette.png')
    sample['sem_seg_path'] = str(tmp_path / 'palette.png')
    assert read_semantic_gt(sample, 3).tolist() == [
        [0, 1, IGNORED],
        [2, 2, 2],
    ]


def test_same_file_is_decoded_once_until_it_changes(sample, monkeypatch):
    decoded = []
    decode = ground_truth.decode_panoptic_png
    monkeypatch.setattr(
        ground_truth,
        'decode_panoptic_png',
        lambda path: decoded.append(path) or decode(path),
    )
    for _ in range(2):
        read_panoptic_gt(sample)
        read_semantic_gt(sample, 3)
    assert len(decoded) == 1
    path = sample['seg_map_path']
    encode_panoptic_png(np.full((2, 3), 5), path)
    os.utime(path, ns=(1, 1))
    assert (read_panoptic_gt(sample) == 5).all()
    assert len(decoded) == 2


def test_shared_ids_cannot_be_written(sample):
    with pytest.raises(ValueError, match='read-only'):
        read_panoptic_gt(sample)[0, 0] = 1


def test_ids_missing_in_the_json_are_named(sample):
    del sample['segments'][0]
    with pytest.raises(
        ValueError, match=r'gt.png: ids \[5\] \(1 in all\) are not among'
    ):
        read_panoptic_gt(sample)
    with pytest.raises(ValueError, match=r'gt.png: ids \[5\]'):
        read_semantic_gt(sample, 3)


def test_damaged_file_is_named(sample):
    path = sample['seg_map_path']
    with open(path, 'r+b') as file:
        file.truncate(60)
    with pytest.raises(ValueError, match='cannot decode panoptic PNG .*gt'):
        read_panoptic_gt(sample)


def test_missing_file_is_named(sample):
    sample['seg_map_path'] += '.gone'
    with pytest.raises(FileNotFoundError, match='gt.png.gone'):
        read_panoptic_gt(sample)


def test_panoptic_png_of_another_size_is_named(sample):
    sample['ori_shape'] = (3, 2)
    with pytest.raises(
        ValueError, match=r'gt.png: size \(H, W\) is \(2, 3\) .*says \(3, 2\)'
    ):
        read_panoptic_gt(sample)


def test_semantic_png_of_another_size_is_named(semantic_png):
    sample = semantic_png(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r'semantic.png: size .* is \(4, 3\)'):
        read_semantic_gt(sample, 3)


def test_missing_semantic_png_is_named(sample):
    sample['sem_seg_path'] = 'nowhere.png'
    with pytest.raises(FileNotFoundError, match='no semantic PNG nowhere.png'):
        read_semantic_gt(sample, 3)


def test_colour_image_is_no_semantic_png(semantic_png):
    sample = semantic_png(np.zeros((2, 3)), mode='RGB')
    with pytest.raises(
        ValueError, match='semantic.png: expected image mode L or P, got RGB'
    ):
        read_semantic_gt(sample, 3)


def test_class_beyond_the_vocabulary_is_named(semantic_png):
    sample = semantic_png([[0, 181, 255], [0, 0, 0]])
    with pytest.raises(
        ValueError,
        match=r'semantic.png holds classes \[181\]; expected 0',
    ):
        read_semantic_gt(sample, 171)
    assert read_semantic_gt(sample, 182).max() == 181


def test_more_classes_than_8_bits_need_the_panoptic_png(semantic_png, sample):
    sample['segments'][0]['label'] = 846
    assert read_semantic_gt(sample, 847)[1, 0] == 846
    with pytest.raises(
        ValueError, match='semantic.png: 8 bits cannot tell the 847 classes'
    ):
        read_semantic_gt(semantic_png(np.zeros((2, 3))), 847)
