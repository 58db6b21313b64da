from importlib import import_module

import numpy as np
import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import class_colours, legend
from freeseg_mm.visualization.segments import name_tag

CAT, DOG, GRASS, SKY = range(4)


def test_unseen_come_first_then_things(vocabulary):
    drawn = legend([GRASS, CAT, SKY, DOG, CAT], vocabulary, width=300)
    assert list(drawn.boxes) == [DOG, SKY, CAT, GRASS]


def test_swatches_show_colour_and_kind(vocabulary):
    drawn = legend(range(4), vocabulary, width=300)
    colours = class_colours(vocabulary.names)
    for label, (left, top, _, _) in drawn.boxes.items():
        swatch = drawn.picture[top : top + 17, left : left + 26]
        # as in a picture: 3/4 colour, 1/4 of a grey image
        mixed = np.rint(0.6 * colours[label] + 0.4 * 127.5)
        # all but the lines of a pattern
        assert (swatch[2:-2, 2:-2] == mixed).all(axis=2).mean() > 0.5
        outline = 255 if vocabulary.is_thing[label] else 24
        assert (swatch[0] == outline).all()
        assert (swatch[:, -1] == outline).all()


def test_only_unseen_names_are_on_gold(vocabulary):
    drawn = legend(range(4), vocabulary, width=300)
    for label, (left, top, right, bottom) in drawn.boxes.items():
        text = drawn.picture[top:bottom, left + 26 : right].astype(int)
        golden = (text[..., 0] > 200) & (text[..., 2] < 100)
        assert golden.any() == (not vocabulary.is_seen[label])


@pytest.mark.parametrize('width', [1, 150, 500])
def test_entries_are_apart_and_inside(width):
    vocabulary = Vocabulary.load('coco_stuff171')
    drawn = legend(range(0, 171, 3), vocabulary, width=width)
    height, found_width = drawn.picture.shape[:2]
    assert found_width >= width
    used = np.zeros((height, found_width), dtype=int)
    for left, top, right, bottom in drawn.boxes.values():
        assert 0 <= left < right <= found_width
        assert 0 <= top < bottom <= height
        used[top:bottom, left:right] += 1
    assert used.max() == 1
    assert len(drawn.boxes) == 57


def test_wider_legend_has_more_columns(vocabulary):
    narrow = legend(range(4), vocabulary, width=1)
    wide = legend(range(4), vocabulary, width=500)
    assert len({box[0] for box in narrow.boxes.values()}) == 1
    assert len({box[0] for box in wide.boxes.values()}) == 4


def test_without_classes_the_signs_are_explained(vocabulary):
    drawn = legend([], vocabulary, width=100)
    assert drawn.boxes == {}
    assert len(np.unique(drawn.picture)) > 10


def test_scores_are_written_behind_the_names(vocabulary):
    plain = legend([CAT, SKY], vocabulary, width=300)
    scored = legend([CAT, SKY], vocabulary, width=300, scores={CAT: 0.934})

    def width(drawn, label):
        left, _, right, _ = drawn.boxes[label]
        return right - left

    assert width(scored, SKY) == width(plain, SKY)
    both = name_tag('cat 93%', is_seen=True), name_tag('cat', is_seen=True)
    assert (
        width(scored, CAT) - width(plain, CAT) == both[0].width - both[1].width
    )
    # and what they are is explained
    assert scored.picture.shape[0] == plain.picture.shape[0] + 21


def test_like_colours_have_their_patterns(vocabulary, monkeypatch):
    monkeypatch.setattr(
        # the package has a function of the module's name
        import_module('freeseg_mm.visualization.legend'),
        'class_patterns',
        lambda labels, names: {CAT: 1, SKY: 0},
    )
    drawn = legend([CAT, SKY], vocabulary, width=300)
    for label, (left, top, _, _) in drawn.boxes.items():
        swatch = drawn.picture[top + 2 : top + 15, left + 2 : left + 24]
        assert len(np.unique(swatch.reshape(-1, 3), axis=0)) == (
            2 if label == CAT else 1
        )


@pytest.mark.parametrize('height', [180, 300, 700])
def test_legend_grows_in_width_to_keep_a_height(height):
    vocabulary = Vocabulary.load('coco_stuff171')
    drawn = legend(range(0, 171, 3), vocabulary, height=height)
    assert drawn.picture.shape[0] <= height
    boxes = np.array(list(drawn.boxes.values()))
    assert len(boxes) == 57
    assert boxes[:, 2].max() <= drawn.picture.shape[1]
