import dataclasses

import numpy as np
import pytest
import torch

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.shapes.crops import (
    CropSampler,
    SegmentCrops,
    blank_outside,
    coarsen,
    normalize,
)
from freeseg_mm.structures import Vocabulary


@pytest.fixture
def hand_made():
    """A 4 x 4 scene: stuff 0, and a 2 x 2 thing at its lower right."""
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    segments = torch.ones(1, 4, 4, dtype=torch.uint8)
    segments[0, 2:, 2:] = 2
    return SegmentCrops(
        vocabulary=Vocabulary.from_names(['sky', 'dot'], things=['dot']),
        images=image.repeat(1, 3, 1, 1),
        segments=segments,
        scenes=torch.tensor([0, 0]),
        numbers=torch.tensor([1, 2], dtype=torch.uint8),
        labels=torch.tensor([0, 1]),
        boxes=torch.tensor([[0, 0, 4, 4], [2, 2, 4, 4]], dtype=torch.float32),
        places=torch.tensor([0, 0]),
    )


def cut(crops, row, side):
    rows = torch.tensor([row])
    return crops.cut(
        rows,
        boxes=crops.boxes[rows],
        masks=crops.masks(rows).float(),
        side=side,
    )


def test_cut_at_the_same_size_copies_pixels(hand_made):
    pixels, masks = cut(hand_made, 1, 2)
    expected = torch.tensor([[10.0, 11.0], [14.0, 15.0]])
    torch.testing.assert_close(pixels[0, 0], expected)
    torch.testing.assert_close(masks[0], torch.ones(2, 2))


def test_cut_averages_when_it_shrinks(hand_made):
    pixels, masks = cut(hand_made, 0, 2)
    # Sample in the middle of four pixels: their mean.
    expected = torch.tensor([[2.5, 4.5], [10.5, 12.5]])
    torch.testing.assert_close(pixels[0, 2], expected)
    torch.testing.assert_close(
        masks[0], torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    )


def test_load_reads_what_was_written(tiny_world, tiny_options):
    crops = SegmentCrops.load(tiny_world, 'val')
    assert crops.images.shape == (3, 3, 64, 64)
    assert crops.vocabulary.name == 'shapes'
    assert (crops.segments > 0).all()
    rows = torch.arange(len(crops))
    masks = crops.masks(rows)
    for mask, box in zip(masks, crops.boxes, strict=True):
        ys, xs = mask.nonzero(as_tuple=True)
        expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert box.tolist() == [float(value) for value in expected]
    # Masks of a scene cover it once.
    for scene in range(3):
        assert (masks[crops.scenes == scene].sum(0) == 1).all()
    is_thing = torch.tensor(crops.vocabulary.is_thing)
    assert not is_thing[crops.places].any()


def test_load_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match='vocabulary.json'):
        SegmentCrops.load(tmp_path, 'val')


def test_stuff_that_fills_most_of_the_frame_lies_on_itself(tiny_world):
    crops = SegmentCrops.load(tiny_world, 'clip')
    areas = crops.masks(torch.arange(len(crops))).sum((1, 2))
    large = areas > 64 * 64 / 2
    assert large.any()
    assert (crops.places[large] == crops.labels[large]).all()


MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.25, 0.5)


def sampler(crops, seed=0):
    return CropSampler(
        crops, mean=MEAN, std=STD, side=24, rng=np.random.default_rng(seed)
    )


@pytest.fixture(scope='module')
def crops(tiny_world):
    return SegmentCrops.load(tiny_world, 'clip')


def test_normalize_by_hand():
    pixels = torch.tensor([255.0, 102.0, 0.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(
        normalize(pixels, MEAN, STD).flatten(),
        # (1 - .5) / .25, (.4 - .4) / .25, (0 - .3) / .5
        torch.tensor([2.0, 0.0, -0.6]),
    )


def test_blanked_pixels_are_the_mean_colour():
    images = torch.full((1, 3, 1, 3), 7.0)
    masks = torch.tensor([[[0.0, 0.4, 0.6]]])
    expected = torch.tensor([0.0, 0.0, 7.0]).expand(1, 3, 1, 3)
    torch.testing.assert_close(blank_outside(images, masks), expected)


def test_coarse_masks_end_where_cells_of_four_pixels_do():
    masks = torch.zeros(2, 16, 16)
    masks[0, 3:12, 5:12] = 1  # rows 4..11 and columns 4..11 are mostly full
    masks[1, :, 3] = 1  # a line: no cell is half full
    boxes = torch.tensor([[5.0, 3.0, 12.0, 12.0], [3.0, 0.0, 4.0, 16.0]])
    coarse, coarse_boxes = coarsen(masks, boxes)
    torch.testing.assert_close(
        coarse_boxes, torch.tensor([[4.0, 4, 12, 12], [3, 0, 4, 16]])
    )
    inside = coarse[0] > 0.5
    assert inside[6:10, 6:10].all()
    assert not inside[:2].any()
    assert not inside[:, 13:].any()
    # Cells share their borders: values between 0 and 1 lie there.
    assert ((coarse[0] > 0) & (coarse[0] < 1)).any()
    torch.testing.assert_close(coarse[1], masks[1])


def test_group_holds_every_class_once(crops):
    images, captions = sampler(crops).batch(3, long=False)
    assert images.shape == (3 * 45, 3, 24, 24)
    names = shapes_vocabulary().names
    for index, text in enumerate(captions):
        assert all(word in text for word in names[index % 45].split(' '))


def test_seed_decides(crops):
    first, same = (sampler(crops).batch(1, long=False) for _ in range(2))
    torch.testing.assert_close(first[0], same[0], rtol=0, atol=0)
    assert first[1] == same[1]
    other = sampler(crops, seed=1).batch(1, long=False)
    assert first[1] != other[1]


def test_most_crops_are_blanked_with_the_mean(crops):
    images, _ = sampler(crops).batch(6, long=False)
    # Masks of figures fill at most about 80 % of their box; noise keeps
    # real pixels from being the exact mean.
    things = images.view(6, 45, 3, 24, 24)[:, :36]
    is_mean = (things == 0).all(2).float().mean((-1, -2))
    assert 0.6 < (is_mean > 0.03).float().mean() < 0.8


def test_captions_mention_no_place_that_is_blanked(crops):
    images, captions = sampler(crops).batch(6, long=False)
    stuff = shapes_vocabulary().names[36:]
    for index, (image, text) in enumerate(zip(images, captions, strict=True)):
        if index % 45 < 36 and any(name in text for name in stuff):
            assert (image == 0).all(0).float().mean() < 0.01


def test_absent_class_is_named(crops):
    label = crops.vocabulary.index('red triangle')
    labels = torch.where(crops.labels == label, 0, crops.labels)
    with pytest.raises(ValueError, match=r"no segment of \['red triangle'\]"):
        sampler(dataclasses.replace(crops, labels=labels))
