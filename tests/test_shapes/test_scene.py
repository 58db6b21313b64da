import numpy as np
import pytest

from freeseg_mm.shapes.classes import FIGURES
from freeseg_mm.shapes.scene import compose_scene, figure_coverage

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


def cover(figure, degrees=0.0):
    return figure_coverage(figure, (100, 100), (50.0, 50.0), 40.0, degrees)


# By hand, radius 40: a disc of 0.86 r; a regular triangle and square within
# the circle; ten triangles of r and 0.42 r with 36 degrees between them; a
# plus of arms 2 * 0.95 r by 0.6 r; a disc of 0.95 r less one of 0.52 r.
AREAS = {
    'circle': np.pi * 34.4**2,
    'triangle': 3 / 4 * np.sqrt(3) * 40**2,
    'square': 2 * 40**2,
    'star': 10 * 0.5 * 40 * 16.8 * np.sin(np.deg2rad(36)),
    'cross': 2 * 76 * 24 - 24**2,
    'ring': np.pi * (38**2 - 20.8**2),
}


@pytest.mark.parametrize('degrees', [0, 25])
@pytest.mark.parametrize('figure', FIGURES)
def test_area_is_the_exact_one(figure, degrees):
    # Pillow paints the pixels on a polygon's border too: one of four
    # samples a pixel, half of it outside, along at most 400 pixels.
    assert cover(figure, degrees).sum() == pytest.approx(
        AREAS[figure], rel=0.04
    )


def test_ring_has_a_hole_and_cross_has_notches():
    assert cover('ring')[50, 50] == 0
    assert cover('ring')[50, 21] == 1
    cross = cover('cross')
    assert cross[50, 50] == 1
    assert cross[15, 50] == 1
    assert cross[20, 20] == 0


def test_rotation_is_clockwise():
    # The triangle's tip points up; turned by 90 degrees it points right.
    tip = cover('triangle', 90)[50]
    assert np.flatnonzero(tip)[-1] > 85
    assert np.flatnonzero(tip)[0] > 25


def test_position_is_that_asked_for():
    coverage = figure_coverage('circle', (60, 100), (70.0, 20.0), 10.0, 0)
    rows, columns = np.nonzero(coverage)
    assert coverage.shape == (60, 100)
    assert rows.mean() == pytest.approx(19.5, abs=0.3)
    assert columns.mean() == pytest.approx(69.5, abs=0.3)
