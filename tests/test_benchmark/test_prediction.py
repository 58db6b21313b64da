import pytest

from freeseg_mm.benchmark.prediction import predicted_seconds

RATES = {
    'settings': {'batch': 1, 'image_size': 100},
    'sides': {
        'this': {
            'macs': {'network': 10, 'matching': 0, 'total': 10},
            'seconds': {'network': 2.0, 'matching': 1.0, 'total': 3.0},
        }
    },
}


def counted(name='this', batch=2, size=200, macs=50):
    return {
        'settings': {'batch': batch, 'image_size': size},
        'sides': {name: {'macs': {'network': macs, 'total': macs}}},
    }


def test_scales_by_macs_and_by_pixels():
    found = predicted_seconds(counted(), RATES)
    assert found == {
        'seconds': {'this': {'network': 10.0, 'matching': 8.0, 'total': 18.0}},
        'ratio': None,
    }


def test_a_side_without_rates():
    with pytest.raises(
        ValueError, match=r"--rates holds \['this'\], not \['mask2former'\]"
    ):
        predicted_seconds(counted('mask2former'), RATES)
