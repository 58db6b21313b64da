import math

import numpy as np
import pytest

from freeseg_mm.evaluation.splits import (
    class_mean,
    harmonic_mean,
    score_table,
    split_means,
)

NAN = float('nan')


def test_means_by_hand(warned):
    # seen: (30 + 50) / 2, unseen: 10 (the absent class does not count),
    # all: (30 + 50 + 10) / 3
    means = split_means(
        {'mIoU': np.array([30, 50, 10, NAN])}, [True, True, False, False]
    )
    assert means == {'mIoU_seen': 40.0, 'mIoU_unseen': 10.0, 'mIoU': 30.0}
    assert all(type(mean) is float for mean in means.values())
    assert warned() == []


def test_zero_is_a_value():
    assert class_mean(np.array([0.0, NAN, 8.0])) == 4.0


def test_no_class_is_nan_not_zero():
    assert math.isnan(class_mean(np.array([NAN, NAN])))
    assert math.isnan(class_mean(np.array([])))


def test_set_without_class_is_nan_and_warned_of_once(warned):
    values = np.array([30.0, 50.0, NAN])
    means = split_means({'PQ': values, 'SQ': values}, [True, True, False])
    assert (means['PQ_seen'], means['PQ']) == (40.0, 40.0)
    assert math.isnan(means['PQ_unseen'])
    assert math.isnan(means['SQ_unseen'])
    assert warned() == [
        "PQ, SQ over the set 'unseen' of classes: none of its 1 classes "
        'occurs here, so the mean is NaN'
    ]


def test_cross_dataset_all_classes_unseen(warned):
    means = split_means({'mIoU': np.array([30.0, 50.0])}, [False, False])
    assert math.isnan(means['mIoU_seen'])
    assert (means['mIoU_unseen'], means['mIoU']) == (40.0, 40.0)
    assert math.isnan(harmonic_mean(means['mIoU_seen'], means['mIoU_unseen']))
    # there is no such set, so nothing is missing
    assert warned() == []


def test_nothing_at_all_names_every_set(warned):
    means = split_means({'mIoU': np.array([NAN, NAN])}, [True, False])
    assert all(math.isnan(mean) for mean in means.values())
    assert [text.split("'")[1] for text in warned()] == [
        'seen',
        'unseen',
        'all',
    ]


def test_wrong_length_is_refused():
    with pytest.raises(ValueError, match=r'mIoU: expected one value for each'):
        split_means({'mIoU': np.array([1.0, 2.0])}, [True])


@pytest.mark.parametrize(
    ('first', 'second', 'expected'),
    [
        (60, 30, 40),  # 2 * 1800 / 90
        (50, 50, 50),
        (50, 0, 0),
        (0, 0, 0),
        # Table 1, ours on COCO: 2 * 42.2 * 49.1 / 91.3
        (42.2, 49.1, 45.389266),
    ],
)
def test_harmonic_mean(first, second, expected):
    assert harmonic_mean(first, second) == pytest.approx(expected)
    assert harmonic_mean(second, first) == pytest.approx(expected)


def test_harmonic_mean_of_nan_is_nan():
    assert math.isnan(harmonic_mean(NAN, 30.0))
    assert math.isnan(harmonic_mean(0.0, NAN))


# --- table -----------------------------------------------------------------

COLUMNS = {'mIoU': 'semantic/mIoU', 'panoptic quality': 'panoptic/PQ'}


def metrics(*values):
    keys = [
        f'{key}_{part}'
        for key in COLUMNS.values()
        for part in ('seen', 'unseen')
    ]
    return dict(zip(keys, values, strict=True))


def test_table():
    rows = {
        'query': metrics(12.34, 0.06, 100.0, 5),
        'both scores': metrics(1.0, float('nan'), None, 99.95),
    }
    assert score_table(rows, COLUMNS).splitlines() == [
        '                       mIoU   panoptic quality',
        '               seen  unseen       seen  unseen',
        'query          12.3     0.1      100.0     5.0',
        'both scores     1.0       -          -   100.0',
    ]


def test_missing_metric_is_named():
    rows = {'query': {'semantic/mIoU_seen': 1.0}}
    with pytest.raises(
        KeyError, match="query: no metric 'semantic/mIoU_unseen'"
    ):
        score_table(rows, COLUMNS)
