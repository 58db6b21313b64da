import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    draw_segments,
    palette,
)
from freeseg_mm.visualization.palette import (
    ALIKE,
    NUM_PATTERNS,
    VISIONS,
    candidate_colours,
    class_colours,
    class_patterns,
    inked,
    lab_to_rgb,
    least_differences,
    mixed,
    name_digest,
    pattern_mask,
    rgb_to_lab,
    simulate,
)

PALETTE = Path(palette.__file__).with_name('palette.json')
KNOWN = [
    shapes_vocabulary(),
    *map(Vocabulary.load, Vocabulary.builtin_names()),
]
# Their names choose when those of all others have chosen.
LATER = ('cityscapes19',)


def to_lab(rgb):
    pixels = (np.asarray(rgb, np.float32) / 255)[None]
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[0].astype(float)


def least_distance(colours):
    lab = to_lab(colours)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return distance[~np.eye(len(lab), dtype=bool)].min()


def test_colours_of_names_do_not_change():
    """Pictures made with different versions show the same colours."""
    names = ('person', 'dog', 'red triangle', 'dragon')
    assert class_colours(names).tolist() == [
        [58, 163, 181],
        [171, 2, 120],
        [250, 57, 163],
        [229, 113, 141],
    ]


def farthest_colours():
    """Colour each known name, as ``palette.json`` has been made.

    Each name takes the candidate that is farthest from the names it shares a
    vocabulary with; the smallest vocabularies choose first, but for those
    that came later, which change no colour of the others. Colour-blind
    people tell two dimensions of colour apart, not three: asking as much of
    theirs would leave too little for all others.
    """
    unlimited = np.iinfo(np.int64).max
    vocabularies = sorted(
        KNOWN, key=lambda x: (x.name in LATER, len(x), x.name)
    )
    candidates = candidate_colours()
    # whole numbers, so that every machine chooses the same
    seen = [
        np.rint(rgb_to_lab(simulate(lab_to_rgb(candidates), name)))
        for name in VISIONS
    ]
    chosen = {}
    room = [np.full(len(candidates), unlimited) for _ in vocabularies]
    for vocabulary in vocabularies:
        # by digest, so that the order of the names plays no role
        for name in sorted(
            set(vocabulary.names) - set(chosen), key=name_digest
        ):
            shared = [i for i, x in enumerate(vocabularies) if name in x.names]
            least = np.min(
                [
                    room[i]
                    for i in shared
                    if vocabulary.name in LATER
                    or vocabularies[i].name not in LATER
                ],
                axis=0,
            )
            is_first = least.min() == unlimited
            chosen[name] = int(
                name_digest(name) % len(least) if is_first else least.argmax()
            )
            normal, *others = (
                ((lab - lab[chosen[name]]) ** 2).sum(1).astype(np.int64)
                for lab in seen
            )
            away = np.min([normal, *(4 * other for other in others)], axis=0)
            for i in shared:
                room[i] = np.minimum(room[i], away)
    return {
        name: '#{:02x}{:02x}{:02x}'.format(
            *np.rint(255 * lab_to_rgb(candidates[index])).astype(int)
        )
        for name, index in chosen.items()
    }


def test_table_holds_the_farthest_colours():
    """Write what this expects when a vocabulary is added."""
    assert json.loads(PALETTE.read_text('utf-8')) == farthest_colours()


def test_order_of_names_plays_no_role():
    names = Vocabulary.load('coco_stuff171').names
    forwards = dict(zip(names, class_colours(names).tolist(), strict=True))
    names = names[::-1]
    backwards = dict(zip(names, class_colours(names).tolist(), strict=True))
    assert forwards == backwards


@pytest.mark.parametrize('name', ['dog', 'red triangle', 'green dragon'])
def test_name_has_one_colour_in_every_vocabulary(name):
    """Of the package's own, and any others."""
    alone = class_colours([name])[0].tolist()
    assert class_colours(['cat', name, 'grass'])[1].tolist() == alone
    for names in (v.names for v in KNOWN if name in v.names):
        assert class_colours(names)[names.index(name)].tolist() == alone


@pytest.mark.parametrize(
    ('vocabulary', 'least', 'least_to_all'),
    [
        (Vocabulary.load('voc20'), 30, 15),
        (shapes_vocabulary(), 16, 8),
        (Vocabulary.load('ade20k150'), 8, 3),
        (Vocabulary.load('coco_panoptic133'), 8, 4),
        (Vocabulary.load('coco_stuff171'), 7.7, 2.9),
    ],
    ids=lambda value: getattr(value, 'name', None),
)
def test_colours_of_a_vocabulary_are_far_apart(
    vocabulary, least, least_to_all
):
    """About 2 can just be told apart; to all: if colour-blind, too."""
    colours = class_colours(vocabulary.names)
    assert least_distance(colours) > least
    away = least_differences(colours / 255)
    np.fill_diagonal(away, np.inf)
    assert away.min() > least_to_all


def test_colours_are_vivid():
    lab = to_lab(class_colours(Vocabulary.load('coco_stuff171').names))
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 26
    assert lab[:, 0].min() > 36
    assert lab[:, 0].max() < 88


def test_more_names_than_colours_are_served():
    colours = class_colours([f'name {i}' for i in range(4000)])
    assert colours.shape == (4000, 3)


def test_colours_cannot_be_changed():
    with pytest.raises(ValueError, match='read-only'):
        class_colours(['dog'])[0] = 0


@pytest.mark.parametrize(
    ('lab', 'rgb'),
    [
        ((100, 0, 0), (1, 1, 1)),
        ((0, 0, 0), (0, 0, 0)),
        # the corners of sRGB, from its published definition
        ((53.2408, 80.0925, 67.2032), (1, 0, 0)),
        ((87.7347, -86.1827, 83.1793), (0, 1, 0)),
        ((32.2970, 79.1875, -107.8602), (0, 0, 1)),
    ],
)
def test_known_colours_are_converted(lab, rgb):
    np.testing.assert_allclose(lab_to_rgb(np.array(lab)), rgb, atol=2e-4)
    np.testing.assert_allclose(rgb_to_lab(np.array(rgb)), lab, atol=0.02)


def test_conversion_agrees_with_opencv():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 3))
    # OpenCV works in float32 and takes its curves from tables
    np.testing.assert_allclose(
        255 * lab_to_rgb(to_lab(rgb)), rgb, atol=1, rtol=0
    )
    np.testing.assert_allclose(
        rgb_to_lab(rgb / 255), to_lab(rgb), atol=0.5, rtol=0
    )


@pytest.mark.parametrize('vision', VISIONS)
def test_greys_look_the_same_to_all(vision):
    greys = np.repeat(np.linspace(0, 1, 9)[:, None], 3, axis=1)
    np.testing.assert_allclose(simulate(greys, vision), greys, atol=1e-4)


def test_normal_vision_changes_nothing():
    rgb = np.random.default_rng(0).random((50, 3))
    np.testing.assert_allclose(simulate(rgb, 'normal'), rgb, atol=1e-12)


def test_red_is_dark_with_protanopia():
    """As linear light: the first column of the matrix, no less than 0."""
    seen = simulate(np.array([1.0, 0, 0]), 'protanopia')
    # 0.152286 and 0.114503 on the curve of sRGB
    np.testing.assert_allclose(seen, [0.4273, 0.3724, 0], atol=1e-3)


def test_red_and_green_are_alike_to_some_only():
    """Of one lightness and one blue-yellow, they differ in red-green."""
    pair = lab_to_rgb(np.array([[60, 35, 40], [60, -25, 40.0]]))
    normal = np.linalg.norm(np.diff(rgb_to_lab(pair), axis=0))
    assert normal == pytest.approx(60)
    for vision in ('deuteranopia', 'protanopia'):
        seen = rgb_to_lab(simulate(pair, vision))
        assert np.linalg.norm(seen[0] - seen[1]) < 0.6 * normal


def test_least_difference_is_that_of_who_sees_least():
    colours = np.random.default_rng(0).random((4, 3))
    found = least_differences(colours)
    for i in range(4):
        for j in range(4):
            each = [
                np.linalg.norm(
                    rgb_to_lab(simulate(colours[i], vision))
                    - rgb_to_lab(simulate(colours[j], vision))
                )
                for vision in VISIONS
            ]
            assert found[i, j] == pytest.approx(min(each))


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
    *KNOWN,
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
        yield rng.choice(
            len(vocabulary), min(count, len(vocabulary)), replace=False
        ).tolist()


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
        'freeseg_mm.visualization.palette.class_colours',
        lambda names: np.array([[200, 30, 30], [30, 30, 200], [201, 30, 30]]),
    )
    assert class_patterns([2, 0, 1], ['a', 'b', 'c']) == {0: 0, 1: 0, 2: 1}


def test_more_like_colours_than_patterns_share_with_the_least_like(
    monkeypatch,
):
    greys = 10 * np.arange(NUM_PATTERNS + 1)[:, None] // 4 + [100, 100, 100]
    monkeypatch.setattr(
        'freeseg_mm.visualization.palette.class_colours',
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
