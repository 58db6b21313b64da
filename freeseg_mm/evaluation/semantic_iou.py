"""Intersection over union of class maps, counted run by run."""

import numpy as np

from freeseg_mm.structures import void_label
from freeseg_mm.utils.run_lengths import joint_runs


def count_class_pixels(
    pred: np.ndarray, gt: np.ndarray, num_classes: int, ignore_index: int
) -> np.ndarray:
    """Count the pixels that the IoU of each class is made of.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C), or
            ``void_label(C)`` for none: no hit, and no false positive.
        gt: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: Value of ``gt`` that does not count.

    Returns:
        Pixels per class, (3, C) int64: in both maps, in the prediction, in
        the ground truth. Counts of several images can be added.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    pred, gt, pixels = counted_runs(pred, gt, num_classes, ignore_index)
    is_hit, is_known = gt == pred, pred < num_classes
    return np.stack(
        [
            np.bincount(classes, weights, num_classes)
            for classes, weights in (
                (gt[is_hit], pixels[is_hit]),
                (pred[is_known], pixels[is_known]),
                (gt, pixels),
            )
        ]
    ).astype(np.int64)


def counted_runs(
    pred: np.ndarray, gt: np.ndarray, num_classes: int, ignore_index: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check two class maps and take the runs of pixels that count.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C), or
            ``void_label(C)``.
        gt: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: Value of ``gt`` that does not count.

    Returns:
        Predicted and true class of the runs that count, and their pixels,
        (R,) each; see :func:`~freeseg_mm.utils.run_lengths.joint_runs`.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    if pred.shape != gt.shape:
        raise ValueError(
            f'the prediction has shape {pred.shape}, the ground truth '
            f'{gt.shape}; resize the prediction to the original image'
        )
    pred, gt, pixels = joint_runs(pred, gt)
    counted = gt != ignore_index
    gt = gt[counted]
    known = pred[pred != void_label(num_classes)]
    for name, values in (('prediction', known), ('ground truth', gt)):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            raise ValueError(
                f'the {name} holds classes {values.min()} to {values.max()}; '
                f'expected 0 to {num_classes - 1}, the positions in the '
                'vocabulary'
            )
    return pred[counted], gt, pixels[counted]


def iou_per_class(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class.

    Args:
        counts: Summed result of :func:`count_class_pixels`, (3, C).

    Returns:
        IoU in [0, 1], (C,) float64, NaN where neither the prediction nor the
        ground truth holds the class.
    """
    both, pred, gt = counts.astype(np.float64)
    union = pred + gt - both
    return np.divide(
        both, union, out=np.full_like(union, np.nan), where=union > 0
    )
