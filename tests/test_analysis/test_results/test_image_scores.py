import numpy as np
import pytest

from freeseg_mm.analysis.results.image_scores import (
    count_instances,
    image_scores,
)
from freeseg_mm.structures import Task
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    prediction_regions,
)

CAT, DOG, GRASS = 0, 1, 2


def row(text, label=CAT, score=None):
    """A region of one row of pixels, those that are x."""
    return Region(np.array([[sign == 'x' for sign in text]]), label, score)


def count(predictions, gts, ignored=None):
    hidden = None if ignored is None else row(ignored).mask
    counts = count_instances(
        TaskRegions(predictions), TaskRegions(gts, hidden), 2
    )
    return counts.T.tolist()


def test_the_surest_takes_the_object():
    """IoU 3/4 first; the second, which fits exactly, finds it taken."""
    cat, dog = count([row('xxx.'), row('xxxx')], [row('xxxx')])
    assert cat == [1, 1, 0, 0.75]
    assert dog == [0, 0, 0, 0]


def test_half_is_no_match():
    cat, _ = count([row('xx..')], [row('xxxx')])
    assert cat == [0, 1, 1, 0]


def test_classes_must_agree():
    cat, dog = count([row('xxxx')], [row('xxxx', DOG)])
    assert cat == [0, 1, 0, 0]
    assert dog == [0, 0, 1, 0]


def test_takes_the_object_it_overlaps_most():
    """IoU 3/5 with the first, 3/4 with the second, which may overlap."""
    cat, _ = count([row('.xxxx')], [row('..xxx'), row('.xxx.')])
    assert cat == [1, 0, 1, 0.75]


def test_ignored_pixels_do_not_count():
    """Without the two on them IoU is 2/2, with them it were 2/4."""
    cat, _ = count([row('xxxx')], [row('xx..')], ignored='..xx')
    assert cat == [1, 0, 0, 1]


def test_prediction_on_ignored_pixels_is_no_mistake():
    cat, _ = count([row('.xxx')], [], ignored='..xx')
    assert cat == [0, 0, 0, 0]
    cat, _ = count([row('xx..')], [], ignored='.x..')  # half is a mistake
    assert cat == [0, 1, 0, 0]


def test_scores_by_hand(make_tested, vocabulary):
    """Cat 1/2 and grass 4/5 of IoU; only grass is matched."""
    sample = make_tested(
        [[CAT, CAT, GRASS], [GRASS, GRASS, GRASS]],
        [[CAT, GRASS, GRASS], [GRASS, GRASS, GRASS]],
    )
    # hits, predicted and true pixels: one of cat was called grass
    class_pixels = np.array([[1, 0, 4, 0], [1, 0, 5, 0], [2, 0, 4, 0]])
    scores = image_scores(
        sample,
        prediction_regions(sample, len(vocabulary)),
        vocabulary,
        class_pixels,
    )
    assert scores == pytest.approx(
        {
            Task.SEMANTIC: 100 * (1 / 2 + 4 / 5) / 2,
            Task.INSTANCE: 0,
            Task.PANOPTIC: 100 * (0 + 4 / 5) / 2,
        }
    )


def test_only_what_was_predicted_is_scored(make_tested, vocabulary):
    sample = make_tested([[CAT, GRASS]], [[CAT, GRASS]])
    predictions = prediction_regions(sample, len(vocabulary))
    del predictions[Task.SEMANTIC], predictions[Task.PANOPTIC]
    scores = image_scores(sample, predictions, vocabulary, None)
    assert scores == {Task.INSTANCE: 100}


def test_nothing_to_judge_is_nan(make_tested, vocabulary):
    sample = make_tested([[GRASS, GRASS]], [[GRASS, GRASS]])
    class_pixels = np.array([[0, 0, 2, 0]] * 3)
    scores = image_scores(
        sample,
        prediction_regions(sample, len(vocabulary)),
        vocabulary,
        class_pixels,
    )
    assert np.isnan(scores[Task.INSTANCE])
    assert scores[Task.SEMANTIC] == 100
