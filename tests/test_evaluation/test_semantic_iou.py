import numpy as np
import pytest
import torch

from freeseg_mm.evaluation.semantic_iou import (
    count_class_pixels,
    iou_per_class,
)
from freeseg_mm.structures import void_label

IGNORED = 255


def test_counts_and_iou_by_hand():
    gt = np.array([[0, 0, 0, 1], [1, 1, 255, 255]])
    pred = np.array([[0, 0, 1, 1], [1, 2, 2, 0]])
    counts = count_class_pixels(pred, gt, 4, IGNORED)
    # the two ignored pixels drop a prediction of class 2 and one of class 0
    assert counts.tolist() == [[2, 2, 0, 0], [2, 3, 1, 0], [3, 3, 0, 0]]
    # 2 / (2+3-2), 2 / (3+3-2), 0 / 1 (only predicted), absent
    np.testing.assert_allclose(iou_per_class(counts), [2 / 3, 0.5, 0, np.nan])


def test_pixel_of_no_class_is_missed_and_no_false_positive():
    gt = np.array([[0, 0, 1, 255]])
    pred = np.array([[0, 255, 255, 255]])
    counts = count_class_pixels(pred, gt, 2, IGNORED)
    assert counts.tolist() == [[1, 0], [1, 0], [2, 1]]
    np.testing.assert_allclose(iou_per_class(counts), [0.5, 0])


def test_counts_add_up_over_images():
    rng = np.random.default_rng(0)
    pred, gt = rng.integers(0, 5, (2, 6, 8))
    halves = [
        count_class_pixels(pred[:, part], gt[:, part], 5, IGNORED)
        for part in (slice(0, 3), slice(3, 8))
    ]
    whole = count_class_pixels(pred, gt, 5, IGNORED)
    np.testing.assert_array_equal(sum(halves), whole)


def test_everything_ignored_counts_nothing():
    counts = count_class_pixels(
        np.zeros((2, 2), int), np.full((2, 2), IGNORED), 3, IGNORED
    )
    assert counts.shape == (3, 3)
    assert not counts.any()
    assert np.isnan(iou_per_class(counts)).all()


@pytest.mark.parametrize('num_classes', [1, 7, 171])
def test_equals_mmseg(num_classes):
    mmseg = pytest.importorskip('mmseg.evaluation.metrics.iou_metric')
    rng = np.random.default_rng(num_classes)
    pred = rng.integers(0, num_classes, (40, 50))
    gt = rng.integers(0, num_classes, (40, 50))
    gt[rng.random(gt.shape) < 0.3] = pred[0, 0]
    gt[rng.random(gt.shape) < 0.1] = IGNORED
    if num_classes > 1:  # of one, mmseg's histogram has no range
        pred[rng.random(gt.shape) < 0.2] = void_label(num_classes)
    theirs = mmseg.IoUMetric.intersect_and_union(
        torch.from_numpy(pred), torch.from_numpy(gt), num_classes, IGNORED
    )
    both, union, in_pred, in_gt = (area.numpy() for area in theirs)
    ours = count_class_pixels(pred, gt, num_classes, IGNORED)
    np.testing.assert_array_equal(ours, [both, in_pred, in_gt])
    assert (union > 0).any()
    with np.errstate(invalid='ignore'):
        np.testing.assert_allclose(
            iou_per_class(ours), both.astype(float) / union, rtol=1e-12
        )


def test_other_size_is_refused():
    with pytest.raises(ValueError, match=r'shape \(2, 3\), .* truth \(2, 2'):
        count_class_pixels(
            np.zeros((2, 3), int), np.zeros((2, 2), int), 2, IGNORED
        )


@pytest.mark.parametrize(
    ('pred', 'gt', 'named'),
    [(2, 0, 'pred'), (-1, 0, 'pred'), (0, 3, 'ground tr')],
)
def test_classes_beyond_the_vocabulary_are_refused(pred, gt, named):
    with pytest.raises(ValueError, match=f'the {named}.* holds classes'):
        count_class_pixels(np.array([[pred]]), np.array([[gt]]), 2, IGNORED)
