import numpy as np
import pytest

from freeseg_mm.shapes.scene import compose_scene

STUFF = ['grass', 'sky', 'brick']
THINGS = ['red circle', 'blue ring', 'black star', 'red circle']


def compose(seed=0, side=96, stuff=STUFF, things=THINGS):
    return compose_scene(stuff, things, side, np.random.default_rng(seed))


@pytest.mark.parametrize('seed', range(4))
def test_every_segment_is_visible(seed):
    scene = compose(seed)
    assert scene.image.shape == (96, 96, 3)
    assert scene.image.dtype == np.uint8
    assert scene.names == (*STUFF, *THINGS)
    areas = np.bincount(scene.segments.ravel())
    assert len(areas) == 7
    # The smallest thing has radius 15 at 128 pixels and keeps 65 % of it:
    # a star of 1.2 r^2, less what rounding to pixels takes.
    assert areas.min() > 0.65 * 1.2 * 11.25**2 * 0.9


def test_mask_and_picture_agree():
    scene = compose()
    star = scene.image[scene.segments == STUFF.index('brick') + 3]
    circle = scene.image[scene.segments == len(STUFF)]
    assert star.mean() < 60
    red, green, blue = circle.mean(0)
    assert red > 130
    assert green < 60
    assert blue < 60


def test_seed_decides():
    first, same, other = compose(1), compose(1), compose(2)
    np.testing.assert_array_equal(first.image, same.image)
    np.testing.assert_array_equal(first.segments, same.segments)
    assert (first.segments != other.segments).any()


def test_things_occlude_each_other_sometimes():
    # Alone, in the same place, the first thing is larger or as large.
    pairs = [
        (
            (compose(seed).segments == 3).sum(),
            (compose(seed, things=THINGS[:1]).segments == 3).sum(),
        )
        for seed in range(10)
    ]
    assert all(visible <= full for visible, full in pairs)
    assert any(visible < full for visible, full in pairs)


def test_says_when_there_is_no_room():
    with pytest.raises(RuntimeError, match="no room for 'red square' among"):
        compose(side=64, things=['red square'] * 200)
