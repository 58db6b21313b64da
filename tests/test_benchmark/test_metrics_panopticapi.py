import numpy as np
import pytest
from mmdet.evaluation.metrics import coco_panoptic_metric

from freeseg_mm.benchmark.metrics_panopticapi import (
    PanopticCounts,
    id2rgb,
    rgb2id,
    with_panopticapi,
)
from freeseg_mm.evaluation.panoptic_quality import panoptic_quality


def test_means_equal_ours():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (4, 6)).astype(float)
    counts[:, 2] = 0  # absent
    counts[:, 4] = [0, 3, 0, 0]  # never matched
    counts[3] = counts[0] * rng.random(6)
    both = PanopticCounts()
    for part in (counts // 2, counts - counts // 2):
        half = PanopticCounts()
        for category in range(6):
            found = half[category]
            found.tp, found.fp, found.fn, found.iou = part[:, category]
        both += half
    categories = {i: {'isthing': i < 3} for i in range(6)}
    ours = panoptic_quality(counts)
    for isthing, members in (
        (None, slice(None)),
        (True, slice(0, 3)),
        (False, slice(3, 6)),
    ):
        means, _ = both.pq_average(categories, isthing)
        for name in ('PQ', 'SQ', 'RQ'):
            expected = np.nanmean(ours[name][members])
            assert means[name.lower()] == pytest.approx(expected)
    assert means['n'] == 3


def test_ids_survive_a_round_trip():
    ids = np.array([[0, 1, 255], [256, 70000, 256**3 - 1]])
    np.testing.assert_array_equal(rgb2id(id2rgb(ids)), ids)


def test_mmdet_is_left_as_it_was():
    before = coco_panoptic_metric.panopticapi
    with with_panopticapi():
        assert coco_panoptic_metric.panopticapi
        assert coco_panoptic_metric.PQStat
    assert coco_panoptic_metric.panopticapi is before
