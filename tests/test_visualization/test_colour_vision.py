import cv2
import numpy as np
import pytest

from freeseg_mm.visualization.colour_vision import (
    VISIONS,
    lab_to_rgb,
    least_differences,
    rgb_to_lab,
    simulate,
)


def to_lab(rgb):
    pixels = (np.asarray(rgb, np.float32) / 255)[None]
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[0].astype(float)


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
