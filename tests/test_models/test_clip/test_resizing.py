import pytest
import torch
from open_clip.model import resize_pos_embed
from torch.testing import assert_close

from freeseg_mm.models.clip.one_pass_classifier import (
    check_image_size,
    resize_images,
    resize_positions,
    tower_size,
)


@pytest.mark.parametrize(
    ('frame', 'image_size', 'expected'),
    [
        ((640, 960), 224, (224, 336)),
        ((960, 640), 320, (480, 320)),
        ((640, 960), [448, 448], (448, 448)),
        ((640, 1000), 224, (224, 352)),  # 350 is nearest to 22 patches
        ((640, 640), 230, (224, 224)),
        ((10, 4000), (8, 8), (16, 16)),  # at least a patch
    ],
)
def test_tower_size_by_hand(frame, image_size, expected):
    assert tower_size(frame, image_size, 16) == expected


@pytest.mark.parametrize('image_size', [None, 1, (3, 4), [3, 4]])
def test_takes_sizes(image_size):
    check_image_size(image_size)


@pytest.mark.parametrize('image_size', [True, (3,), (3, 4, 5), (3, 4.0), '48'])
def test_refuses_what_is_no_size(image_size):
    with pytest.raises(TypeError, match='None, a short side or .height, wid'):
        check_image_size(image_size)


@pytest.mark.parametrize('image_size', [0, (32, 0), [-1, 32]])
def test_refuses_empty_sizes(image_size):
    with pytest.raises(ValueError, match='expected a positive image_size'):
        check_image_size(image_size)


def test_images_of_that_size_stay_as_they_are():
    images = torch.rand(1, 3, 8, 10) * 255

    assert torch.equal(resize_images(images, (8, 10)), images)


def test_resized_images_stay_in_range():
    images = (torch.rand(1, 3, 40, 30) > 0.5).to(torch.uint8) * 255

    resized = resize_images(images, (60, 90))

    assert resized.shape == (1, 3, 60, 90)
    assert resized.dtype == torch.float32
    assert resized.min() == 0
    assert resized.max() == 255


def test_positions_equal_what_open_clip_loads(build_clip):
    small, large = build_clip(), build_clip(image_size=48)
    positions = small.clip.visual.positional_embedding
    state = {'visual.positional_embedding': positions.clone()}

    resize_pos_embed(state, large.clip)

    assert_close(
        resize_positions(positions, (4, 4), (6, 6)),
        state['visual.positional_embedding'],
    )


def test_positions_of_the_trained_grid_stay():
    positions = torch.randn(1 + 6, 5)

    assert resize_positions(positions, (2, 3), (2, 3)) is positions


def test_positions_keep_rows_and_columns_apart():
    rows = torch.arange(3.0)[:, None].expand(3, 4)
    columns = torch.arange(4.0)[None].expand(3, 4)
    patches = torch.stack([rows, columns], -1).flatten(0, 1)
    positions = torch.cat([torch.tensor([[7.0, 8.0]]), patches])

    resized = resize_positions(positions.bfloat16(), (3, 4), (6, 12))

    assert resized.dtype == torch.bfloat16
    assert resized[0].tolist() == [7.0, 8.0]
    grid = resized[1:].float().unflatten(0, (6, 12))
    assert (grid[1:, :, 0] > grid[:-1, :, 0]).all()  # first: down the rows
    assert (grid[:, 1:, 1] >= grid[:, :-1, 1]).all()
    assert_close(grid[:, :, 0], grid[:, :1, 0].expand(6, 12))
