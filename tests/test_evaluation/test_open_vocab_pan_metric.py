import math

import pytest
import torch

from freeseg_mm.evaluation import OpenVocabPanMetric


@pytest.fixture
def metric(dataset_meta):
    metric = OpenVocabPanMetric()
    metric.dataset_meta = dataset_meta
    return metric


def predict(sample, ids, *labels):
    """Segment n has the n-th label, from 1."""
    pred = {
        'sem_seg': torch.tensor(ids)[None],
        'segments_info': [
            {'id': position, 'label': label, 'score': 0.9}
            for position, label in enumerate(labels, start=1)
        ],
    }
    return {**sample, 'pred_panoptic_seg': pred}


def test_means_by_hand(metric, write_gt, warned):
    # classes cat, dog, grass, sky; dog and sky unseen
    first = write_gt(
        [[1, 1, 1, 1], [2, 2, 3, 3]],
        [(1, 0, 0), (2, 1, 0), (3, 2, 0)],
    )
    second = write_gt([[1, 1], [0, 2]], [(1, 0, 0), (2, 0, 0)], 'second')
    metric.process(
        None,
        [
            predict(first, [[1, 1, 1, 2], [2, 2, 3, 3]], 0, 1, 2),
            predict(second, [[1, 1], [1, 0]], 0),
        ],
    )
    results = metric.evaluate(size=2)
    # cat: 3/4 in the first image, 2/2 in the second (void left out), one
    #   missed: PQ 1.75 / 2.5, SQ 1.75 / 2, RQ 2 / 2.5
    # dog: 2/3: PQ = SQ 2/3, RQ 1;  grass: all 1;  sky: absent
    expected = {
        'PQ_seen': (0.7 + 1) / 2,
        'PQ_unseen': 2 / 3,
        'PQ': (0.7 + 2 / 3 + 1) / 3,
        'SQ_seen': (0.875 + 1) / 2,
        'SQ_unseen': 2 / 3,
        'SQ': (0.875 + 2 / 3 + 1) / 3,
        'RQ_seen': (0.8 + 1) / 2,
        'RQ_unseen': 1,
        'RQ': (0.8 + 1 + 1) / 3,
    }
    assert results == {
        f'panoptic/{name}': pytest.approx(100 * value, abs=1e-9)
        for name, value in expected.items()
    }
    assert all(type(value) is float for value in results.values())
    assert metric.per_class_results['cat']['PQ'] == pytest.approx(70)
    assert math.isnan(metric.per_class_results['sky']['RQ'])
    assert warned() == []


def test_set_without_class_is_nan_and_warned_of_once(metric, write_gt, warned):
    sample = write_gt([[1, 1]], [(1, 0, 0)])
    metric.process(None, [predict(sample, [[1, 1]], 0)])
    results = metric.evaluate(size=1)
    for name in ('PQ', 'SQ', 'RQ'):
        assert math.isnan(results[f'panoptic/{name}_unseen'])
        assert results[f'panoptic/{name}'] == 100
    (text,) = warned()
    assert "PQ, SQ, RQ over the set 'unseen'" in text


def test_empty_prediction_is_zero_not_nan(metric, write_gt):
    sample = write_gt([[1, 2]], [(1, 0, 0), (2, 3, 0)])
    metric.process(None, [predict(sample, [[0, 0]])])
    results = metric.evaluate(size=1)
    assert set(results.values()) == {0.0}


def test_keeps_one_small_result_per_image(metric, write_gt):
    # merging over processes drops padded samples by their position
    sample = write_gt([[1, 1]], [(1, 0, 0)])
    metric.process(None, [predict(sample, [[1, 1]], 0)] * 3)
    assert [counts.shape for counts in metric.results] == [(4, 4)] * 3


def test_wrong_prediction_names_the_image(metric, write_gt):
    sample = write_gt([[1, 1]], [(1, 0, 0)])
    with pytest.raises(
        ValueError, match=r'image gt, pred_panoptic_seg: .*labels \[4\]'
    ):
        metric.process(None, [predict(sample, [[1, 1]], 4)])


def test_missing_prediction_names_the_image(metric, write_gt):
    with pytest.raises(ValueError, match="image gt: .*no 'pred_panoptic"):
        metric.process(None, [write_gt([[1]], [(1, 0, 0)])])
