import numpy as np
import pytest

from freeseg_mm.datasets.pseudo_labels import PseudoLabelSettings
from freeseg_mm.recipes.self_training.labelling import choose_segments

# Segments 10 and 20 of 4 pixels each, 30 of 2; the left half is labelled.
IDS = np.array(
    [
        [10, 10, 20, 20],
        [10, 10, 20, 20],
        [30, 30, 0, 0],
        [0, 40, 40, 40],
    ]
)
UNLABELLED = np.array([[False, False, True, True]] * 4)
SEGMENTS = [
    {'id': 10, 'label': 0, 'score': 0.9},
    {'id': 20, 'label': 1, 'score': 0.6},
    {'id': 40, 'label': 1, 'score': 0.5},
    {'id': 30, 'label': 0, 'score': 0.4},
]


def choose(segments=SEGMENTS, wanted=(True, True), **settings):
    settings = {
        'score_thr': 0.0,
        'min_area': 0,
        'min_unlabelled': 0.0,
        **settings,
    }
    return list(
        choose_segments(
            IDS, segments, UNLABELLED, wanted, PseudoLabelSettings(**settings)
        )
    )


def areas(chosen):
    return [(int(mask.sum()), label, score) for mask, label, score in chosen]


def test_segments_are_cut_to_unlabelled_pixels():
    chosen = choose()
    # 10 and 30 lie on labels alone, 40 by a third
    assert areas(chosen) == [(4, 1, 0.6), (2, 1, 0.5)]
    np.testing.assert_array_equal(chosen[0][0], IDS == 20)
    assert not any((mask & ~UNLABELLED).any() for mask, _, _ in chosen)


@pytest.mark.parametrize(
    ('settings', 'kept'),
    [
        ({'score_thr': 0.6}, [0.6]),  # the threshold itself is enough
        ({'score_thr': 0.61}, []),
        ({'min_area': 2}, [0.6, 0.5]),
        ({'min_area': 3}, [0.6]),
        ({'min_area': 3 / 16}, [0.6]),  # of 16 pixels
        ({'min_area': 2 / 16}, [0.6, 0.5]),
        ({'min_unlabelled': 0.6}, [0.6, 0.5]),  # 2 of 3 pixels
        ({'min_unlabelled': 0.7}, [0.6]),
    ],
)
def test_thresholds(settings, kept):
    assert [score for _, _, score in choose(**settings)] == kept


def test_seen_classes_are_never_chosen():
    assert choose(wanted=(True, False)) == []


def test_nothing_predicted():
    assert choose([]) == []
