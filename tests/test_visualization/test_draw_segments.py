import numpy as np
import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    class_colours,
    draw_segments,
)
from freeseg_mm.visualization.segments import (
    find_place,
    find_place_beside,
    hatching,
    name_tag,
    place_names,
)

CAT, DOG, GRASS, SKY = range(4)
GREY = 100


@pytest.fixture
def image():
    return np.full((6, 8, 3), GREY, np.uint8)


def mask_of(rows, columns, size=(6, 8)):
    mask = np.zeros(size, dtype=bool)
    mask[rows, columns] = True
    return mask


def tint(vocabulary, label):
    """Three parts of colour, two of the image."""
    colour = class_colours(vocabulary.names)[label].astype(float)
    return np.rint(0.6 * colour + 0.4 * GREY).tolist()


def test_uncovered_pixels_show_the_dimmed_image(image, vocabulary):
    drawn = draw_segments(image, TaskRegions(), vocabulary)
    assert (drawn == 50).all()  # half of 100


def test_image_keeps_its_colour_where_no_region_is(vocabulary):
    image = np.zeros((1, 3, 3), np.uint8)
    image[0] = np.eye(3) * 200
    drawn = draw_segments(image, TaskRegions(), vocabulary)
    assert drawn[0].tolist() == (np.eye(3) * 100).tolist()


def test_image_is_grey_under_a_colour(vocabulary):
    image = np.zeros((1, 3, 3), np.uint8)
    image[0] = np.eye(3) * 200
    everything = Region(np.ones((1, 3), dtype=bool), GRASS)
    drawn = draw_segments(
        image, TaskRegions([everything]), vocabulary, with_names=False
    )
    colour = class_colours(vocabulary.names)[GRASS].astype(float)
    grey = 200 * np.array([0.299, 0.587, 0.114])[:, None]
    np.testing.assert_array_equal(drawn[0], np.rint(0.6 * colour + 0.4 * grey))


def test_stuff_is_tinted_with_a_thin_dark_outline(image, vocabulary):
    region = Region(mask_of(slice(0, 6), slice(0, 4)), GRASS)
    drawn = draw_segments(
        image, TaskRegions([region]), vocabulary, with_names=False
    )
    # the frame of the image is no edge
    assert (drawn[:, :3] == tint(vocabulary, GRASS)).all()
    assert (drawn[:, 3] == 24).all()
    assert (drawn[:, 4:] == 50).all()


def test_things_have_a_white_outline_of_two_pixels(image, vocabulary):
    region = Region(mask_of(slice(0, 6), slice(0, 5)), CAT)
    drawn = draw_segments(
        image, TaskRegions([region]), vocabulary, with_names=False
    )
    assert (drawn[:, :3] == tint(vocabulary, CAT)).all()
    assert (drawn[:, 3:5] == 255).all()


def test_patterns_are_lines_of_another_tone(image, vocabulary):
    region = Region(mask_of(slice(0, 6), slice(0, 8)), GRASS)
    drawn = draw_segments(
        image,
        TaskRegions([region]),
        vocabulary,
        with_names=False,
        patterns={GRASS: 3},
    )
    # two rows of ten, and what would be the next
    assert (drawn[2:] == tint(vocabulary, GRASS)).all()
    colour = class_colours(vocabulary.names)[GRASS]
    ink = 255 if colour @ [0.299, 0.587, 0.114] <= 128 else 0
    line = 0.45 * colour + 0.55 * ink
    expected = np.rint(0.6 * line + 0.4 * GREY)
    assert (drawn[:2] == expected).all()


def test_earlier_regions_are_drawn_over_later_ones(image, vocabulary):
    regions = [
        Region(mask_of(slice(0, 6), slice(0, 8)), SKY),
        Region(mask_of(slice(0, 6), slice(0, 8)), GRASS),
    ]
    drawn = draw_segments(
        image, TaskRegions(regions), vocabulary, with_names=False
    )
    assert (drawn == tint(vocabulary, SKY)).all()


def test_ignored_pixels_are_hatched_where_no_region_is(image, vocabulary):
    everything = np.ones((6, 8), dtype=bool)
    region = Region(mask_of(slice(0, 6), slice(0, 2)), GRASS)
    drawn = draw_segments(
        image,
        TaskRegions([region], everything),
        vocabulary,
        with_names=False,
    )
    assert (drawn[:, 0] == tint(vocabulary, GRASS)).all()
    np.testing.assert_array_equal(drawn[:, 2:], hatching(6, 8)[:, 2:])


def test_hatching_is_diagonal_and_dark_grey():
    pattern = hatching(8, 8)
    assert pattern[0].tolist() == 4 * [[56] * 3] + 4 * [[84] * 3]
    np.testing.assert_array_equal(pattern[1:, :-1], pattern[:-1, 1:])


def test_scale_enlarges_masks_without_blur(image, vocabulary):
    region = Region(mask_of(slice(2, 4), slice(2, 5)), GRASS)
    drawn = draw_segments(
        image, TaskRegions([region]), vocabulary, scale=3, with_names=False
    )
    assert drawn.shape == (18, 24, 3)
    inside = np.zeros((18, 24), dtype=bool)
    inside[6:12, 6:15] = True
    assert (drawn[~inside] == 50).all()
    assert (drawn[7:11, 7:14] == tint(vocabulary, GRASS)).all()


def test_names_only_change_the_pixels_of_tags(vocabulary):
    image = np.full((60, 90, 3), GREY, np.uint8)
    region = Region(np.ones((60, 90), dtype=bool), SKY)
    plain, named = (
        draw_segments(
            image, TaskRegions([region]), vocabulary, with_names=with_names
        )
        for with_names in (False, True)
    )
    rows, columns = np.nonzero((plain != named).any(axis=2))
    assert 10 < np.ptp(rows) < 25
    assert 20 < np.ptp(columns) < 60
    # in the middle of the region
    assert abs(rows.mean() - 30) < 3
    assert abs(columns.mean() - 45) < 3


def test_inputs_are_left_alone(image, vocabulary):
    mask = mask_of(slice(0, 6), slice(0, 4))
    ignored = np.ones((6, 8), dtype=bool)
    draw_segments(image, TaskRegions([Region(mask, CAT)], ignored), vocabulary)
    assert (image == GREY).all()
    assert mask.sum() == 24
    assert ignored.all()


def test_mask_of_another_size_is_refused(image, vocabulary):
    wrong = Region(np.ones((8, 6), dtype=bool), CAT)
    with pytest.raises(
        ValueError, match=r'region 0 has a mask of size \(8, 6\).*\(6, 8\)'
    ):
        draw_segments(image, TaskRegions([wrong]), vocabulary)
    with pytest.raises(ValueError, match='the ignored part has a mask'):
        draw_segments(image, TaskRegions([], wrong.mask), vocabulary)


@pytest.mark.parametrize('label', [-1, 4])
def test_label_beyond_the_vocabulary_is_refused(image, vocabulary, label):
    region = Region(np.ones((6, 8), dtype=bool), label)
    with pytest.raises(
        ValueError, match=f"label {label}, vocabulary 'four' has 4 classes"
    ):
        draw_segments(image, TaskRegions([region]), vocabulary)


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


def test_place_beside_is_at_the_nearest_edge():
    mask = block(2, 3, 4, 5)
    assert find_place_beside(mask, mask, (2, 2)) == (0, 3)
    taken = mask | block(0, 0, 2, 8)
    assert find_place_beside(mask, taken, (2, 2)) == (2, 1)
    taken |= block(0, 0, 6, 3)
    assert find_place_beside(mask, taken, (2, 2)) == (2, 5)


def test_place_beside_may_be_away():
    mask = block(0, 0, 1, 1)
    taken = block(0, 0, 6, 6)
    assert find_place_beside(mask, taken, (2, 2)) == (0, 6)
    assert find_place_beside(mask, taken, (2, 3)) is None


@pytest.mark.parametrize(('end', 'place'), [(17, (2, 17)), (18, None)])
def test_place_beside_is_at_most_16_pixels_away(end, place):
    size = (6, 40)
    mask = block(0, 0, 6, 1, size)
    taken = block(0, 0, 6, end, size)
    assert find_place_beside(mask, taken, (2, 2)) == place


@pytest.mark.parametrize('size', [(7, 1), (1, 9)])
def test_box_larger_than_the_picture_has_no_place_beside(size):
    mask = block(0, 0, 1, 1)
    assert find_place_beside(mask, mask, size) is None


@pytest.fixture
def square():
    return Vocabulary.from_names(['purple square'], unseen=[])


def tag_size(text):
    tag = name_tag(text, is_seen=True)
    return tag.height, tag.width


def changed_box(mask, score, square):
    """Height and width of what naming a region of this mask changes."""
    picture = np.full((*mask.shape, 3), 120, np.uint8)
    named = place_names(picture, [Region(mask, 0, score)], [mask], square)
    rows, columns = np.nonzero((named != picture).any(axis=2))
    if not rows.size:
        return None
    return (
        int(np.ptp(rows)) + 1,
        int(np.ptp(columns)) + 1,
    )


def test_wording_with_score_is_preferred(square):
    mask = np.ones((60, 200), dtype=bool)
    expected = tag_size('purple square 93%')
    assert changed_box(mask, 0.934, square) == expected


def test_ground_truth_has_no_score(square):
    mask = np.ones((60, 200), dtype=bool)
    assert changed_box(mask, None, square) == tag_size('purple square')


def just_wide_enough(text):
    """A mask no wider than a tag, and thrice as high."""
    height, width = tag_size(text)
    return np.ones((3 * height, width), dtype=bool)


def test_score_is_left_out_where_there_is_no_room(square):
    mask = just_wide_enough('purple square')
    assert changed_box(mask, 0.934, square) == tag_size('purple square')


def test_lines_are_broken_where_there_is_no_room(square):
    mask = just_wide_enough('purple\nsquare')
    assert changed_box(mask, 0.934, square) == tag_size('purple\nsquare')


def named(mask, square):
    """Pixels that naming a region changes."""
    picture = np.full((*mask.shape, 3), 120, np.uint8)
    result = place_names(picture, [Region(mask, 0)], [mask], square)
    return (result != picture).any(axis=2)


def test_tag_that_would_hide_its_region_stands_beside_it(square):
    mask = block(30, 90, 54, 114, size=(90, 200))  # 576 pixels
    height, width = tag_size('purple square')
    assert 0.4 * mask.sum() < height * width < 8 * mask.sum()
    changed = named(mask, square)
    # one pixel for the line's end
    assert (changed & mask).sum() == 1
    rows, columns = np.nonzero(changed & ~mask)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width)
    # at its upper or lower edge, above its middle
    assert rows.max() == 29 or rows.min() == 54
    assert abs(columns.mean() - 101.5) < 1


def test_tag_stands_on_no_other_small_region(square):
    size = (90, 200)
    masks = [block(33, 90, 57, 114, size), block(0, 60, 33, 75, size)]
    alone = named(masks[0], square)
    assert (alone & masks[1]).any()  # else this asks nothing
    picture = np.full((*size, 3), 120, np.uint8)
    regions = [Region(mask, 0) for mask in masks]
    result = place_names(picture, regions, masks, square)
    changed = (result != picture).any(axis=2)
    assert (changed & masks[1]).sum() == 1  # the end of its own line


def test_small_region_has_no_name(square):
    assert changed_box(np.ones((9, 9), dtype=bool), None, square) is None


def test_hidden_region_has_no_name(square):
    mask = np.ones((60, 200), dtype=bool)
    picture = np.full((60, 200, 3), 120, np.uint8)
    hidden = [np.zeros_like(mask)]
    named = place_names(picture, [Region(mask, 0)], hidden, square)
    np.testing.assert_array_equal(named, picture)


def test_tags_do_not_overlap(square):
    mask = np.ones((60, 200), dtype=bool)
    picture = np.full((60, 200, 3), 120, np.uint8)
    regions = [Region(mask, 0), Region(mask, 0)]
    named = place_names(picture, regions, [mask, mask], square)
    height, width = tag_size('purple square')
    changed = (named != picture).any(axis=2).sum()
    # the rounded corners of a tag are clear
    assert changed == pytest.approx(2 * height * width, abs=40)


GOLD = (255, 206, 64, 240)
DARK = (20, 22, 26, 190)


def test_seen_name_is_on_dark_ground():
    pixels = np.asarray(name_tag('cat', is_seen=True))
    assert tuple(pixels[pixels.shape[0] // 2, 1]) == DARK
    assert pixels[..., :3].max() == 255


def test_unseen_name_is_on_gold_ground_with_a_star():
    seen = name_tag('cat', is_seen=True)
    unseen = np.asarray(name_tag('cat', is_seen=False))
    assert tuple(unseen[unseen.shape[0] // 2, 1]) == GOLD
    # star of 11 pixels and a gap of 3
    assert unseen.shape[1] == seen.width + 14
    star = unseen[:, 3:14, :3]
    dark = star.max(axis=2) < 60
    assert 25 < dark.sum() < 70
    # a star stands upright: as wide on the left as on the right
    np.testing.assert_array_equal(dark, dark[:, ::-1])


def test_height_does_not_depend_on_letters():
    heights = {
        name_tag(text, is_seen=True).height for text in ('ace', 'Ag', 'pyjama')
    }
    assert len(heights) == 1


def test_line_breaks_make_it_taller_and_narrower():
    one = name_tag('purple square', is_seen=True)
    two = name_tag('purple\nsquare', is_seen=True)
    assert two.width < one.width
    assert 1.6 * one.height < two.height < 2.2 * one.height


def test_text_stays_inside():
    for text in ('jjj', 'WWW', 'fluffy\njumping cat 100%'):
        pixels = np.asarray(name_tag(text, is_seen=True)).astype(int)
        rim = np.concatenate(
            [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        )
        assert rim[:, :3].max() < 100
