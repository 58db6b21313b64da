import numpy as np
import pytest

from freeseg_mm.shapes.classes import FIGURES
from freeseg_mm.shapes.figures import figure_coverage


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
