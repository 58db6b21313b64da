import numpy as np
import pytest

from freeseg_mm.utils.resampling import fitting, nearest


def test_nearest():
    values = np.array([[1, 2], [3, 4]])
    assert nearest(values, (2, 2)) is values
    np.testing.assert_array_equal(
        nearest(values, (4, 3)), [[1, 1, 2]] * 2 + [[3, 3, 4]] * 2
    )
    np.testing.assert_array_equal(nearest(values, (1, 1)), [[1]])
    assert nearest(np.zeros((0, 2, 2)), (5, 6)).shape == (0, 5, 6)


@pytest.mark.parametrize(
    ('size', 'max_side', 'expected'),
    [
        ((3, 4), 4, (3, 4)),
        ((3000, 4000), 2048, (1536, 2048)),
        ((1, 999), 10, (1, 10)),
    ],
)
def test_fitting(size, max_side, expected):
    assert fitting(size, max_side) == expected
