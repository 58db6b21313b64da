import numpy as np
import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import class_colours, legend

CAT, DOG, GRASS, SKY = range(4)


def test_unseen_come_first_then_things(vocabulary):
    drawn = legend([GRASS, CAT, SKY, DOG, CAT], vocabulary, width=300)
    assert [entry.name for entry in drawn.entries] == [
        'dog',
        'sky',
        'cat',
        'grass',
    ]
    assert [entry.label for entry in drawn.entries] == [DOG, SKY, CAT, GRASS]
    assert [entry.is_seen for entry in drawn.entries] == [0, 0, 1, 1]
    assert [entry.is_thing for entry in drawn.entries] == [1, 0, 1, 0]


def test_swatches_show_colour_and_kind(vocabulary):
    drawn = legend(range(4), vocabulary, width=300)
    colours = class_colours(vocabulary.names)
    for entry in drawn.entries:
        left, top, _, _ = entry.box
        swatch = drawn.picture[top : top + 17, left : left + 17]
        assert (swatch[2:-2, 2:-2] == colours[entry.label]).all()
        outline = 255 if entry.is_thing else 24
        assert (swatch[0] == outline).all()
        assert (swatch[:, -1] == outline).all()


def test_only_unseen_names_are_on_gold(vocabulary):
    drawn = legend(range(4), vocabulary, width=300)
    for entry in drawn.entries:
        left, top, right, bottom = entry.box
        text = drawn.picture[top:bottom, left + 17 : right].astype(int)
        golden = (text[..., 0] > 200) & (text[..., 2] < 100)
        assert golden.any() == (not entry.is_seen)


@pytest.mark.parametrize('width', [1, 150, 500])
def test_entries_are_apart_and_inside(width):
    vocabulary = Vocabulary.load('coco_stuff171')
    drawn = legend(range(0, 171, 3), vocabulary, width=width)
    height, found_width = drawn.picture.shape[:2]
    assert found_width >= width
    used = np.zeros((height, found_width), dtype=int)
    for entry in drawn.entries:
        left, top, right, bottom = entry.box
        assert 0 <= left < right <= found_width
        assert 0 <= top < bottom <= height
        used[top:bottom, left:right] += 1
    assert used.max() == 1
    assert len(drawn.entries) == 57


def test_wider_legend_has_more_columns(vocabulary):
    narrow = legend(range(4), vocabulary, width=1)
    wide = legend(range(4), vocabulary, width=500)
    assert len({entry.box[0] for entry in narrow.entries}) == 1
    assert len({entry.box[0] for entry in wide.entries}) == 4


def test_without_classes_the_signs_are_explained(vocabulary):
    drawn = legend([], vocabulary, width=100)
    assert drawn.entries == ()
    assert len(np.unique(drawn.picture)) > 10
