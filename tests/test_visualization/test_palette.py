import cv2
import numpy as np
import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization.palette import class_colours, lab_to_rgb


def to_lab(rgb):
    pixels = (np.asarray(rgb, np.float32) / 255)[None]
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[0].astype(float)


def least_distance(colours):
    lab = to_lab(colours)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return distance[~np.eye(len(lab), dtype=bool)].min()


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


def test_conversion_agrees_with_opencv():
    rgb = np.random.default_rng(0).integers(0, 256, (500, 3))
    # OpenCV works in float32 and takes its curves from tables
    np.testing.assert_allclose(
        255 * lab_to_rgb(to_lab(rgb)), rgb, atol=1, rtol=0
    )


def test_colours_of_names_do_not_change():
    """Pictures made with different versions show the same colours."""
    names = ('person', 'dog', 'red triangle')
    assert class_colours(names).tolist() == [
        [215, 9, 83],
        [219, 123, 109],
        [109, 176, 105],
    ]


def test_order_of_names_plays_no_role():
    names = Vocabulary.load('coco_stuff171').names
    forwards = dict(zip(names, class_colours(names).tolist(), strict=True))
    names = names[::-1]
    backwards = dict(zip(names, class_colours(names).tolist(), strict=True))
    assert forwards == backwards


def test_lone_name_keeps_its_colour_in_a_small_vocabulary():
    alone = class_colours(['dog'])[0].tolist()
    assert class_colours(['cat', 'dog', 'grass'])[1].tolist() == alone


@pytest.mark.parametrize(
    ('vocabulary', 'least'),
    [('voc20', 24), ('ade20k150', 13), ('coco_stuff171', 13)],
)
def test_colours_of_a_vocabulary_are_far_apart(vocabulary, least):
    colours = class_colours(Vocabulary.load(vocabulary).names)
    # rounding to 8 bits moves a colour by less than one unit
    assert least_distance(colours) > least - 2


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
