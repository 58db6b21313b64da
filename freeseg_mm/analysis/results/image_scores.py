"""Scores of the predictions on one image, task by task."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from freeseg_mm.evaluation.ground_truth import read_panoptic_gt
from freeseg_mm.evaluation.panoptic_quality import (
    count_panoptic,
    panoptic_quality,
)
from freeseg_mm.evaluation.per_class_metric import id_map_of
from freeseg_mm.evaluation.semantic_iou import iou_per_class
from freeseg_mm.evaluation.splits import class_mean
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.visualization import TaskRegions, gt_regions

SCORE_NAMES = {
    Task.SEMANTIC: 'mIoU',
    Task.INSTANCE: 'quality',
    Task.PANOPTIC: 'PQ',
}
"""Names of the numbers of :func:`image_scores`."""


def image_scores(
    sample: Mapping[str, Any],
    predictions: Mapping[Task, TaskRegions],
    vocabulary: Vocabulary,
    class_pixels: np.ndarray | None,
) -> dict[Task, float]:
    """Score the predictions on one image as if it were the whole dataset.

    Semantic: mIoU; panoptic: PQ, both the mean over the classes that ground
    truth or prediction holds. Instance: the quality of
    :func:`count_instances`, for AP says little of a single image and counts
    objects that no picture shows.

    Args:
        sample: A tested sample with its predictions and label files.
        predictions: Regions of the predicted tasks.
        vocabulary: The classes that the labels refer to.
        class_pixels: Pixels of each class in both maps, in the prediction
            and in the ground truth, (3, C); ``None`` if the semantic task
            was not predicted.

    Returns:
        Percent by predicted task; NaN where neither ground truth nor
        prediction holds anything.

    Raises:
        FileNotFoundError: If a label file does not exist.
        ValueError: If a label file or a prediction is unusable.
    """
    num_classes = len(vocabulary)
    scores = {}
    if class_pixels is not None:
        scores[Task.SEMANTIC] = iou_per_class(class_pixels)
    if Task.INSTANCE in predictions:
        counts = count_instances(
            predictions[Task.INSTANCE],
            gt_regions(sample, vocabulary)[Task.INSTANCE],
            num_classes,
        )
        scores[Task.INSTANCE] = panoptic_quality(counts)['PQ']
    if Task.PANOPTIC in predictions:
        pred = sample['pred_panoptic_seg']
        counts = count_panoptic(
            id_map_of(pred),
            pred['segments_info'],
            read_panoptic_gt(sample),
            sample['segments'],
            num_classes,
        )
        scores[Task.PANOPTIC] = panoptic_quality(counts)['PQ']
    return {task: 100 * class_mean(value) for task, value in scores.items()}


def count_instances(
    prediction: TaskRegions, gt: TaskRegions, num_classes: int
) -> np.ndarray:
    """Match the instances of one image and count the outcome per class.

    Panoptic quality for masks that may overlap: the surest first, each
    takes the free object of its class that it overlaps most, if their IoU
    exceeds 0.5. Ignored pixels are left out of the IoU, and what lies on
    them by more than half is no false positive.

    Args:
        prediction: Instances, the surest first.
        gt: Objects, and the ignored pixels.
        num_classes: C.

    Returns:
        As :func:`~freeseg_mm.evaluation.panoptic_quality.count_panoptic`,
        (4, C) float64: true positives, false positives, false negatives, sum
        of the IoU of the true positives.
    """
    counts = np.zeros((4, num_classes))
    free = list(gt.regions)
    for region in prediction.regions:
        area = int(region.mask.sum())
        on_ignored = 0
        if gt.ignored is not None:
            on_ignored = int((region.mask & gt.ignored).sum())
        ious = [
            _iou(region.mask, other.mask, on_ignored)
            if other.label == region.label
            else 0.0
            for other in free
        ]
        best = int(np.argmax(ious)) if ious else 0
        if ious and ious[best] > 0.5:
            del free[best]
            counts[:, region.label] += (1, 0, 0, ious[best])
        elif 2 * on_ignored <= area:
            counts[1, region.label] += 1
    for missed in free:
        counts[2, missed.label] += 1
    return counts


def _iou(pred: np.ndarray, gt: np.ndarray, on_ignored: int) -> float:
    both = int((pred & gt).sum())
    union = int(pred.sum()) + int(gt.sum()) - both - on_ignored
    return both / max(union, 1)
