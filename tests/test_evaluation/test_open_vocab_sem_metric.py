import math

import numpy as np
import pytest
import torch

from freeseg_mm.evaluation import OpenVocabSemMetric


@pytest.fixture
def metric(dataset_meta):
    metric = OpenVocabSemMetric()
    metric.dataset_meta = dataset_meta
    return metric


def predict(sample, classes):
    pred = torch.as_tensor(classes)[None]
    return {**sample, 'pred_sem_seg': {'sem_seg': pred}}


def test_means_by_hand(metric, write_gt, warned):
    # classes cat, dog, grass, sky; dog and sky unseen
    first = write_gt(
        [[1, 1, 2, 2], [3, 3, 0, 4]],
        [(1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 0, 1)],
    )
    second = write_gt([[1, 1], [1, 1]], [(1, 0, 0)], name='second')
    metric.process(
        None,
        [
            predict(first, [[0, 0, 1, 0], [2, 1, 3, 3]]),
            predict(second, [[0, 0], [0, 2]]),
        ],
    )
    results = metric.evaluate(size=2)
    # the void and the crowd pixel, both predicted sky, do not count
    # cat: 2 + 3 shared, 3 + 3 predicted, 2 + 4 true: 5 / 7
    # dog: 1 shared, 2 predicted, 2 true: 1 / 3
    # grass: 1 shared, 1 + 1 predicted, 2 true: 1 / 3
    # sky: absent
    seen, unseen = 100 * (5 / 7 + 1 / 3) / 2, 100 / 3
    assert results == {
        'semantic/mIoU_seen': pytest.approx(seen, abs=1e-9),
        'semantic/mIoU_unseen': pytest.approx(unseen, abs=1e-9),
        'semantic/hIoU': pytest.approx(
            2 * seen * unseen / (seen + unseen), abs=1e-9
        ),
        'semantic/mIoU': pytest.approx(
            100 * (5 / 7 + 1 / 3 + 1 / 3) / 3, abs=1e-9
        ),
    }
    assert all(type(value) is float for value in results.values())
    assert list(metric.per_class_results) == ['cat', 'dog', 'grass', 'sky']
    assert metric.per_class_results['cat']['IoU'] == pytest.approx(500 / 7)
    assert math.isnan(metric.per_class_results['sky']['IoU'])
    assert warned() == []
    assert metric.results == []


def test_class_only_predicted_counts_as_zero(metric, write_gt):
    sample = write_gt([[1, 1]], [(1, 0, 0)])
    metric.process(None, [predict(sample, [[0, 3]])])
    results = metric.evaluate(size=1)
    assert results['semantic/mIoU_unseen'] == 0
    assert results['semantic/hIoU'] == 0


def test_set_without_class_is_nan(metric, write_gt, warned):
    sample = write_gt([[1, 1]], [(1, 0, 0)])
    metric.process(None, [predict(sample, [[0, 0]])])
    results = metric.evaluate(size=1)
    assert math.isnan(results['semantic/mIoU_unseen'])
    assert math.isnan(results['semantic/hIoU'])
    assert results['semantic/mIoU'] == results['semantic/mIoU_seen'] == 100
    (text,) = warned()
    assert "mIoU over the set 'unseen'" in text


def test_keeps_one_small_result_per_image(metric, write_gt):
    # merging over processes drops padded samples by their position
    sample = predict(write_gt(np.ones((50, 60), int), [(1, 0, 0)]), 0)
    sample['pred_sem_seg']['sem_seg'] = torch.zeros(1, 50, 60, dtype=int)
    metric.process(None, [sample] * 3)
    assert [counts.shape for counts in metric.results] == [(3, 4)] * 3
    once = metric.evaluate(size=1)
    assert once['semantic/mIoU_seen'] == 100


def test_prediction_of_another_size_names_the_image(metric, write_gt):
    sample = write_gt([[1, 1]], [(1, 0, 0)])
    with pytest.raises(
        ValueError, match=r'image gt, pred_sem_seg: .*shape \(1, 3\)'
    ):
        metric.process(None, [predict(sample, [[0, 0, 0]])])


def test_missing_prediction_names_the_image(metric, write_gt):
    with pytest.raises(ValueError, match="image gt: .*no 'pred_sem_seg'"):
        metric.process(None, [write_gt([[1]], [(1, 0, 0)])])
