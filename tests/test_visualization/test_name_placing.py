import numpy as np
import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import Region
from freeseg_mm.visualization.name_placing import find_place, place_names
from freeseg_mm.visualization.name_tag import name_tag

NOTHING = np.zeros((6, 8), dtype=bool)


def block(top, left, bottom, right, size=(6, 8)):
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_only_place_is_found():
    assert find_place(block(2, 3, 4, 6), NOTHING, (2, 3)) == (2, 3)


def test_most_central_place_is_taken():
    assert find_place(block(0, 0, 6, 8), NOTHING, (2, 2)) == (2, 3)


def test_covered_place_is_better_than_a_central_one():
    mask = block(0, 0, 6, 8)
    mask[2:4, 3:5] = False
    top, left = find_place(mask, NOTHING, (2, 2))
    assert mask[top : top + 2, left : left + 2].all()


def test_box_may_stick_out_by_a_fifth():
    mask = block(0, 0, 1, 5)
    mask[0, 4] = False  # 4 of 5
    assert find_place(mask, NOTHING, (1, 5)) == (0, 0)
    mask[0, 3] = False  # 3 of 5
    assert find_place(mask, NOTHING, (1, 5)) is None


def test_taken_pixels_are_avoided():
    taken = block(0, 0, 6, 4)
    top, left = find_place(block(0, 0, 6, 8), taken, (2, 2))
    assert left >= 4
    assert find_place(block(0, 0, 6, 8), block(0, 3, 6, 5), (2, 4)) is None


@pytest.mark.parametrize('size', [(7, 1), (1, 9)])
def test_box_larger_than_the_picture_has_no_place(size):
    assert find_place(block(0, 0, 6, 8), NOTHING, size) is None


@pytest.fixture
def vocabulary():
    return Vocabulary.from_names(['purple square'], unseen=[])


def tag_size(text):
    tag = name_tag(text, is_seen=True)
    return tag.height, tag.width


def changed_box(mask, score, vocabulary):
    """Height and width of what naming a region of this mask changes."""
    picture = np.full((*mask.shape, 3), 120, np.uint8)
    named = place_names(picture, [Region(mask, 0, score)], [mask], vocabulary)
    rows, columns = np.nonzero((named != picture).any(axis=2))
    if not rows.size:
        return None
    return (
        int(np.ptp(rows)) + 1,
        int(np.ptp(columns)) + 1,
    )


def test_wording_with_score_is_preferred(vocabulary):
    mask = np.ones((60, 200), dtype=bool)
    expected = tag_size('purple square 93%')
    assert changed_box(mask, 0.934, vocabulary) == expected


def test_truth_has_no_score(vocabulary):
    mask = np.ones((60, 200), dtype=bool)
    assert changed_box(mask, None, vocabulary) == tag_size('purple square')


def test_score_is_left_out_where_there_is_no_room(vocabulary):
    mask = np.ones(tag_size('purple square'), dtype=bool)
    assert changed_box(mask, 0.934, vocabulary) == tag_size('purple square')


def test_lines_are_broken_where_there_is_no_room(vocabulary):
    mask = np.ones(tag_size('purple\nsquare'), dtype=bool)
    assert changed_box(mask, 0.934, vocabulary) == tag_size('purple\nsquare')


def test_small_region_has_no_name(vocabulary):
    assert changed_box(np.ones((9, 9), dtype=bool), None, vocabulary) is None


def test_hidden_region_has_no_name(vocabulary):
    mask = np.ones((60, 200), dtype=bool)
    picture = np.full((60, 200, 3), 120, np.uint8)
    hidden = [np.zeros_like(mask)]
    named = place_names(picture, [Region(mask, 0)], hidden, vocabulary)
    np.testing.assert_array_equal(named, picture)


def test_tags_do_not_overlap(vocabulary):
    mask = np.ones((60, 200), dtype=bool)
    picture = np.full((60, 200, 3), 120, np.uint8)
    regions = [Region(mask, 0), Region(mask, 0)]
    named = place_names(picture, regions, [mask, mask], vocabulary)
    height, width = tag_size('purple square')
    changed = (named != picture).any(axis=2).sum()
    # the rounded corners of a tag are clear
    assert changed == pytest.approx(2 * height * width, abs=40)
