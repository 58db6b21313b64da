import numpy as np
import pytest

from freeseg_mm.shapes.classes import STUFF
from freeseg_mm.shapes.textures import TEXTURES, smooth_noise


def draw(name, side=64, seed=0):
    return TEXTURES[name](side, np.random.default_rng(seed))


def test_every_stuff_has_a_texture():
    assert tuple(TEXTURES) == STUFF


@pytest.mark.parametrize('name', STUFF)
def test_texture_is_an_image_decided_by_its_seed(name):
    image = draw(name)
    assert image.shape == (64, 64, 3)
    assert image.dtype == np.float32
    assert image.min() > -60
    assert image.max() < 320
    np.testing.assert_array_equal(image, draw(name))
    assert np.abs(image - draw(name, seed=1)).mean() > 1


@pytest.mark.parametrize('name', STUFF)
def test_pattern_grows_with_the_image(name):
    # Twice the side shows the same pattern twice as large: means agree.
    means = [
        np.mean([draw(name, side, seed).mean() for seed in range(8)])
        for side in (64, 128)
    ]
    assert means[0] == pytest.approx(means[1], rel=0.15)


def test_smooth_noise_varies_over_the_cells_asked_for():
    field = smooth_noise(np.random.default_rng(0), 64, (2, 32))
    down = np.abs(np.diff(field, axis=0)).mean()
    across = np.abs(np.diff(field, axis=1)).mean()
    assert field.shape == (64, 64)
    assert across > 5 * down
