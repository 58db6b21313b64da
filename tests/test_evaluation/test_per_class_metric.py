import math

import numpy as np
import pytest
import torch

from freeseg_mm.evaluation.per_class_metric import (
    PerClassMetric,
    id_map_of,
    prediction_of,
)


@pytest.fixture
def metric(dataset_meta):
    metric = PerClassMetric()
    metric.dataset_meta = dataset_meta
    return metric


def test_keeps_plain_values_by_name(metric, logged):
    metric.report_classes(
        'Test', {'PQ': np.array([12.345, np.nan])}, classes=[3, 0]
    )
    results = metric.per_class_results
    assert list(results) == ['sky', 'cat']
    assert results['sky'] == {
        'is_seen': False,
        'is_thing': False,
        'PQ': 12.345,
    }
    assert results['cat']['is_seen']
    assert results['cat']['is_thing']
    assert math.isnan(results['cat']['PQ'])
    assert type(results['sky']['PQ']) is float


def test_logs_one_table(metric, logged):
    metric.report_classes(
        'Test',
        {'PQ': np.array([12.345, np.nan]), 'SQ': np.array([1.0, np.nan])},
        classes=[3, 0],
    )
    ((level, text),) = logged
    assert level == 'INFO'
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in text.splitlines()
        if line.startswith('|')
    ]
    assert text.startswith('Test per class, %:')
    assert rows == [
        ['class', 'split', 'kind', 'PQ', 'SQ'],
        ['sky', 'unseen', 'stuff', '12.35', '1.00'],
        ['cat', 'seen', 'thing', 'nan', 'nan'],
    ]


def test_other_dataset_forgets_the_results(metric, dataset_meta):
    metric.report_classes('Test', {'PQ': np.array([1.0])}, classes=[0])
    metric.dataset_meta = dataset_meta
    assert metric.per_class_results == {}
    assert metric.dataset_meta is dataset_meta


def test_dataset_without_vocabulary_is_refused():
    with pytest.raises(
        ValueError, match=r"no 'vocabulary', only \['classes'\]; evaluate on"
    ):
        PerClassMetric().dataset_meta = {'classes': ('cat',)}


def test_classes_that_contradict_the_vocabulary_are_refused(dataset_meta):
    dataset_meta['classes'] = ('dog', 'cat', 'grass', 'sky')
    with pytest.raises(
        ValueError, match="'classes' .* are not the names of its vocabulary 'f"
    ):
        PerClassMetric().dataset_meta = dataset_meta


def test_prediction_that_was_not_asked_for_is_named():
    with pytest.raises(
        ValueError, match="image 7: the model gave no 'pred_instances'; take"
    ):
        prediction_of({'img_id': 7}, 'pred_instances')


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int32, torch.int64])
def test_id_map_is_two_dimensional(dtype):
    values = torch.tensor([[[3, 1]]], dtype=dtype)
    for pixels in (values, values.numpy()):
        ids = id_map_of({'sem_seg': pixels})
        assert ids.tolist() == [[3, 1]]
        assert ids.dtype == np.int64


def test_id_map_of_one_row_keeps_its_shape():
    assert id_map_of({'sem_seg': torch.zeros(1, 1, 4)}).shape == (1, 4)
