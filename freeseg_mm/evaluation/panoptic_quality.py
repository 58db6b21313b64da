"""Panoptic quality: matched segments per class, counted image by image.

Kirillov et al., "Panoptic Segmentation", CVPR 2019; the treatment of void and
crowd is that of panopticapi, the reference implementation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freeseg_mm.utils.run_lengths import joint_runs


def index_segments(ids: np.ndarray, segment_ids: Sequence[int]) -> np.ndarray:
    """Number the pixels of an id map by the position of their segment.

    Args:
        ids: Segment id of every pixel, any shape, int.
        segment_ids: The ids of interest, unique.

    Returns:
        Position in ``segment_ids`` plus 1, 0 for any other id, int64, shape
        of ``ids``.

    Raises:
        ValueError: If an id is listed twice.
    """
    listed = np.asarray(segment_ids, dtype=np.int64)
    if not listed.size:
        return np.zeros(ids.shape, dtype=np.int64)
    order = np.argsort(listed)
    ascending = listed[order]
    twice = ascending[1:][ascending[1:] == ascending[:-1]]
    if twice.size:
        raise ValueError(f'segment ids {twice.tolist()} are listed twice')
    place = np.searchsorted(ascending, ids)
    place[place == listed.size] = 0
    return np.where(ascending[place] == ids, order[place] + 1, 0)


def count_panoptic(
    pred_ids: np.ndarray,
    pred_segments: Sequence[Mapping[str, Any]],
    gt_ids: np.ndarray,
    gt_segments: Sequence[Mapping[str, Any]],
    num_classes: int,
) -> np.ndarray:
    """Match the segments of one image and count the outcome per class.

    A prediction matches a true segment of its class, crowds excepted, if
    their IoU exceeds 0.5, where the IoU leaves out the predicted pixels on
    void. An unmatched crowd is no false negative. An unmatched prediction is
    no false positive if more than half of it lies on void or on the crowd of
    its class. As in panopticapi, the crowd of a class is the last one listed.

    Args:
        pred_ids: Predicted segment of every pixel, (H, W) int.
        pred_segments: Its segments, each with ``id`` and ``label`` (a class
            in [0, C)). Any other id of the map is void.
        gt_ids: True segment of every pixel, (H, W) int.
        gt_segments: Its segments, each with ``id``, ``label`` and
            ``iscrowd``. Any other id of the map is void.
        num_classes: C.

    Returns:
        Per class, (4, C) float64: true positives, false positives, false
        negatives, sum of the IoU of the true positives. Counts of several
        images can be added.

    Raises:
        ValueError: If the maps differ in shape, a label is out of range, an
            id is listed twice or a predicted segment has no pixel.
    """
    if pred_ids.shape != gt_ids.shape:
        raise ValueError(
            f'the prediction has shape {pred_ids.shape}, the ground truth '
            f'{gt_ids.shape}; resize the prediction to the original image'
        )
    pred_label = _labels(pred_segments, num_classes, 'prediction')
    gt_label = _labels(gt_segments, num_classes, 'ground truth')
    is_crowd = np.array(
        [bool(segment['iscrowd']) for segment in gt_segments], dtype=bool
    )
    shared = _shared_pixels(pred_ids, pred_segments, gt_ids, gt_segments)
    pred_area = shared.sum(axis=0)[1:]
    gt_area = shared.sum(axis=1)[1:]
    if (pred_area == 0).any():
        empty = [
            segment['id']
            for segment, area in zip(pred_segments, pred_area, strict=True)
            if area == 0
        ]
        raise ValueError(
            f'no pixel belongs to the predicted segments {empty}; leave empty '
            'segments out of segments_info'
        )

    on_void = shared[0, 1:]
    both = shared[1:, 1:]  # (ground truth, prediction)
    union = gt_area[:, None] + pred_area - both - on_void
    # A segment listed without a pixel leaves a union of 0
    iou = both / np.maximum(union, 1)
    is_match = (
        (iou > 0.5) & (gt_label[:, None] == pred_label) & ~is_crowd[:, None]
    )
    # in panopticapi's order, so that a sum of IoU has its very digits
    by_id = np.argsort([segment['id'] for segment in gt_segments])
    of_gt, of_pred = np.nonzero(is_match[by_id])
    of_gt = by_id[of_gt]

    crowd_row = np.zeros(num_classes, dtype=np.int64)
    crowd_row[gt_label[is_crowd]] = np.flatnonzero(is_crowd) + 1
    row = crowd_row[pred_label]
    on_crowd = shared[row, np.arange(1, shared.shape[1])] * (row > 0)
    is_ignored = 2 * (on_void + on_crowd) > pred_area

    false_pos = ~is_match.any(axis=0) & ~is_ignored
    false_neg = ~is_match.any(axis=1) & ~is_crowd
    return np.stack(
        [
            np.bincount(gt_label[of_gt], minlength=num_classes),
            np.bincount(pred_label[false_pos], minlength=num_classes),
            np.bincount(gt_label[false_neg], minlength=num_classes),
            np.bincount(
                gt_label[of_gt],
                weights=iou[of_gt, of_pred],
                minlength=num_classes,
            ),
        ]
    )


def panoptic_quality(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Panoptic, segmentation and recognition quality of each class.

    Args:
        counts: Summed result of :func:`count_panoptic`, (4, C).

    Returns:
        ``PQ``, ``SQ`` and ``RQ``, (C,) float64 in [0, 1] each, with PQ = SQ
        times RQ. NaN where the class has no counted segment; SQ is 0 where
        none of its segments is matched.
    """
    true_pos, false_pos, false_neg, iou_sum = counts
    segments = true_pos + 0.5 * false_pos + 0.5 * false_neg
    absent = segments == 0

    def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        result = part / np.where(whole == 0, 1, whole)
        return np.where(absent, np.nan, result)

    return {
        'PQ': ratio(iou_sum, segments),
        'SQ': ratio(iou_sum, true_pos),
        'RQ': ratio(true_pos, segments),
    }


def _labels(
    segments: Sequence[Mapping[str, Any]], num_classes: int, name: str
) -> np.ndarray:
    labels = np.array([segment['label'] for segment in segments], np.int64)
    wrong = sorted(set(labels[(labels < 0) | (labels >= num_classes)]))
    if wrong:
        raise ValueError(
            f'segments of the {name} have labels {[int(w) for w in wrong]}; '
            f'expected 0 to {num_classes - 1}, the positions in the vocabulary'
        )
    return labels


def _shared_pixels(
    pred_ids: np.ndarray,
    pred_segments: Sequence[Mapping[str, Any]],
    gt_ids: np.ndarray,
    gt_segments: Sequence[Mapping[str, Any]],
) -> np.ndarray:
    """Pixels of each (true, predicted) pair, row and column 0 are void."""
    pred, gt, pixels = joint_runs(pred_ids, gt_ids)
    pred = index_segments(pred, [segment['id'] for segment in pred_segments])
    gt = index_segments(gt, [segment['id'] for segment in gt_segments])
    shape = len(gt_segments) + 1, len(pred_segments) + 1
    counts = np.bincount(gt * shape[1] + pred, pixels, shape[0] * shape[1])
    return counts.astype(np.int64).reshape(shape)
