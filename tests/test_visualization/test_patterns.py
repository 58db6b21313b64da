import cv2
import numpy as np
import pytest

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import Region, TaskRegions, draw_segments
from freeseg_mm.visualization.colour_vision import least_differences
from freeseg_mm.visualization.palette import class_colours
from freeseg_mm.visualization.patterns import (
    ALIKE,
    NUM_PATTERNS,
    class_patterns,
    inked,
    mixed,
    pattern_mask,
)

# Another simulation than the package's: Vienot, Brettel and Mollon, 1999,
# by the responses of the three kinds of cones to linear RGB.
CONES = np.array(
    [
        [17.8824, 43.5161, 4.11935],
        [3.45565, 27.1554, 3.86714],
        [0.0299566, 0.184309, 1.46709],
    ]
)
MISSING = {
    'normal': np.eye(3),
    'deuteranopia': [[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]],
    'protanopia': [[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]],
}


def vienot(picture, vision):
    """What is seen of a picture, (..., 3), CIELAB."""
    rgb = np.asarray(picture, float) / 255
    linear = np.where(
        rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92
    )
    matrix = np.linalg.inv(CONES) @ np.array(MISSING[vision]) @ CONES
    seen = (linear @ matrix.T).clip(0, 1)
    curved = np.where(
        seen > 0.0031308, 1.055 * seen ** (1 / 2.4) - 0.055, 12.92 * seen
    )
    return cv2.cvtColor(curved.astype(np.float32), cv2.COLOR_RGB2LAB)


VOCABULARIES = [
    shapes_vocabulary(),
    *map(Vocabulary.load, Vocabulary.builtin_names()),
    # drawn by their spelling alone
    Vocabulary.from_names([f'word {i}' for i in range(60)], name='words'),
]


def each_vocabulary(function):
    return pytest.mark.parametrize(
        'vocabulary', VOCABULARIES, ids=lambda vocabulary: vocabulary.name
    )(function)


def choices(vocabulary, count, times=20):
    rng = np.random.default_rng(0)
    for _ in range(times):
        yield rng.choice(len(vocabulary), count, replace=False).tolist()


@each_vocabulary
def test_classes_of_a_picture_differ_in_colour_or_pattern(vocabulary):
    for labels in choices(vocabulary, 20):
        patterns = class_patterns(labels, vocabulary.names)
        colours = class_colours([vocabulary.names[i] for i in labels])
        away = least_differences(mixed(colours / 255, 0.5))
        of = np.array([patterns[label] for label in labels])
        same = of[:, None] == of
        np.fill_diagonal(same, False)
        assert away[same].min(initial=np.inf) >= ALIKE
        assert of.max() < NUM_PATTERNS


@each_vocabulary
def test_neighbours_in_a_picture_differ_to_all(vocabulary):
    """Two regions side by side, drawn, and seen by another simulation."""
    height, width = 40, 40
    image = np.full((height, 2 * width, 3), 128, np.uint8)
    left = np.zeros(image.shape[:2], dtype=bool)
    left[:, :width] = True
    for labels in choices(vocabulary, 2, times=40):
        regions = [Region(left, labels[0]), Region(~left, labels[1])]
        drawn = draw_segments(
            image, TaskRegions(regions), vocabulary, with_names=False
        )
        patterns = class_patterns(labels, vocabulary.names)
        for vision in MISSING:
            lab = vienot(drawn, vision)
            # without outlines
            sides = lab[:, 3 : width - 3], lab[:, width + 3 : -3]
            # the ground: what most pixels are
            medians = [np.median(side, axis=(0, 1)) for side in sides]
            spread = [side[..., 0].std() for side in sides]
            if patterns[labels[0]] == patterns[labels[1]]:
                assert np.linalg.norm(medians[0] - medians[1]) > 7
                assert max(spread) < 1
            else:
                # lines, much darker or lighter, on one alone
                assert min(spread) < 1
                assert max(spread) > 4


def test_unlike_colours_are_plain():
    voc = Vocabulary.load('voc20').names
    labels = [voc.index(name) for name in ('person', 'dog', 'sofa')]
    assert set(class_patterns(labels, voc).values()) == {0}


def test_one_of_two_like_colours_gets_lines(monkeypatch):
    monkeypatch.setattr(
        'freeseg_mm.visualization.patterns.class_colours',
        lambda names: np.array([[200, 30, 30], [30, 30, 200], [201, 30, 30]]),
    )
    assert class_patterns([2, 0, 1], ['a', 'b', 'c']) == {0: 0, 1: 0, 2: 1}


def test_more_like_colours_than_patterns_share_with_the_least_like(
    monkeypatch,
):
    greys = 10 * np.arange(NUM_PATTERNS + 1)[:, None] // 4 + [100, 100, 100]
    monkeypatch.setattr(
        'freeseg_mm.visualization.patterns.class_colours',
        lambda names: greys,
    )
    names = [f'{i:02d}' for i in range(len(greys))]
    patterns = class_patterns(range(len(greys)), names)
    expected = dict(enumerate([*range(NUM_PATTERNS), 0]))
    assert patterns == expected


def test_order_of_the_vocabulary_plays_no_role():
    names = Vocabulary.load('coco_stuff171').names
    turned = names[::-1]
    forwards = class_patterns(range(0, 171, 9), names)
    backwards = class_patterns([170 - i for i in range(0, 171, 9)], turned)
    assert {names[i]: p for i, p in forwards.items()} == {
        turned[i]: p for i, p in backwards.items()
    }


@pytest.mark.parametrize('label', [-1, 2])
def test_label_beyond_the_names_is_refused(label):
    with pytest.raises(
        ValueError, match=rf'labels \[{label}\] are beyond the 2 names'
    ):
        class_patterns([0, label], ['a', 'b'])


def test_no_class_has_no_pattern():
    assert class_patterns([], ['a']) == {}


def test_plain_has_no_line():
    assert not pattern_mask(0, 30, 30).any()


@pytest.mark.parametrize('pattern', range(1, NUM_PATTERNS))
def test_each_pattern_is_one_of_its_own(pattern):
    mask = pattern_mask(pattern, 40, 40)
    # 2 of 10 pixels in one direction, and 8 of 10 * 2 of 10 in another
    assert mask.mean() in (0.2, pytest.approx(0.36))
    for other in range(pattern):
        assert (mask != pattern_mask(other, 40, 40)).mean() >= 0.16


@pytest.mark.parametrize('pattern', [-1, NUM_PATTERNS])
def test_unknown_pattern_is_refused(pattern):
    with pytest.raises(
        ValueError, match=f'no pattern {pattern}; there are 0 to 6'
    ):
        pattern_mask(pattern, 4, 4)


def test_lines_are_dark_on_light_and_light_on_dark():
    assert inked(np.array([200.0, 200, 200])).tolist() == pytest.approx(
        [90.0] * 3
    )
    # 0.45 * 60 + 0.55 * 255
    assert inked(np.array([60.0, 60, 60])).tolist() == pytest.approx(
        [167.25] * 3
    )
