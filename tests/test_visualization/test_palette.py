import cv2
import numpy as np
import pytest

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization.colour_vision import least_differences
from freeseg_mm.visualization.palette import class_colours


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
    known = [Vocabulary.load(v) for v in Vocabulary.builtin_names()]
    for names in (v.names for v in known if name in v.names):
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
