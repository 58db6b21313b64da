import pytest

from freeseg_mm.visualization import choose_images


@pytest.mark.parametrize(
    ('labels', 'wanted', 'count', 'expected'),
    [
        # 1 shows two of the wanted, then only 3 shows the third
        ([{1}, {1, 2}, {2}, {3}], {1, 2, 3}, 2, [1, 3]),
        # nothing new is left: all count again, 0 comes before 2
        ([{1}, {1, 2}, {2}, {3}], {1, 2, 3}, 4, [1, 3, 0, 2]),
        # images without a wanted class are never shown
        ([{5}, {1}, set()], {1, 2}, 3, [1]),
        # unwanted classes do not count; the first of equals is taken
        ([{1, 7}, {1, 7, 8, 9}], {1}, 1, [0]),
        # more wanted classes decide between images with as many new ones
        ([{1, 2}, {1, 3}, {2, 3, 4}, {3, 4, 1}], {1, 2, 3, 4}, 2, [2, 3]),
        ([{1}], {1}, 0, []),
        ([], {1}, 2, []),
    ],
)
def test_choice(labels, wanted, count, expected):
    assert choose_images(labels, wanted, count) == expected
