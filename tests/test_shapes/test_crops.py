import pytest
import torch

from freeseg_mm.shapes.crops import SegmentCrops
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
