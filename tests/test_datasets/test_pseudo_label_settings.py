import pytest

from freeseg_mm.recipes.self_training import PseudoLabelSettings


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'score_thr': 1.0}, 'score_thr: expected a probability'),
        ({'score_thr': -0.1}, 'score_thr: expected a probability'),
        ({'min_area': -1}, 'min_area: expected a number of pixels'),
        ({'min_area': 1.5}, 'min_area: expected a number of pixels'),
        ({'min_unlabelled': 1.1}, 'min_unlabelled: expected a share in'),
        ({'overlap_thr': -0.1}, 'overlap_thr: expected a share in'),
    ],
)
def test_impossible_thresholds_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PseudoLabelSettings(**settings)


@pytest.mark.parametrize(
    ('min_area', 'pixels'), [(0, 1), (1, 1), (64, 64), (0.1, 20), (0.001, 1)]
)
def test_least_pixels_of_200(min_area, pixels):
    settings = PseudoLabelSettings(min_area=min_area)
    assert settings.least_pixels(200) == pytest.approx(pixels)
