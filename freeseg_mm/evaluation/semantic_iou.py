"""Intersection over union of class maps, counted image by image."""

import numpy as np

from freeseg_mm.structures import void_label


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
    pred, gt = counted_classes(pred, gt, num_classes, ignore_index)
    return np.stack(
        [
            np.bincount(classes, minlength=num_classes)
            for classes in (gt[gt == pred], pred[pred < num_classes], gt)
        ]
    )


def counted_classes(
    pred: np.ndarray, gt: np.ndarray, num_classes: int, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Check two class maps and take the pixels that count.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C), or
            ``void_label(C)``.
        gt: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: Value of ``gt`` that does not count.

    Returns:
        Predicted and true class of the pixels that count, (P,) each.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    if pred.shape != gt.shape:
        raise ValueError(
            f'the prediction has shape {pred.shape}, the ground truth '
            f'{gt.shape}; resize the prediction to the original image'
        )
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
    return pred[counted], gt


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
