"""Intersection over union of class maps, counted image by image."""

import numpy as np


def count_class_pixels(
    pred: np.ndarray, truth: np.ndarray, num_classes: int, ignore_index: int
) -> np.ndarray:
    """Count the pixels that the IoU of each class is made of.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C).
        truth: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: The value of ``truth`` that does not count.

    Returns:
        Pixels per class, (3, C) int64: in both maps, in the prediction, in
        the truth. Counts of several images can be added.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    pred, truth = counted_classes(pred, truth, num_classes, ignore_index)
    return np.stack(
        [
            np.bincount(classes, minlength=num_classes)
            for classes in (truth[truth == pred], pred, truth)
        ]
    )


def counted_classes(
    pred: np.ndarray, truth: np.ndarray, num_classes: int, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Check two class maps and take the pixels that count.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C).
        truth: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: The value of ``truth`` that does not count.

    Returns:
        Predicted and true class of the pixels that count, (P,) each.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    if pred.shape != truth.shape:
        raise ValueError(
            f'the prediction has shape {pred.shape}, the truth {truth.shape}; '
            'resize the prediction to the original image'
        )
    counted = truth != ignore_index
    truth = truth[counted]
    for name, values in (('prediction', pred), ('truth', truth)):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            raise ValueError(
                f'the {name} holds classes {values.min()} to {values.max()}; '
                f'expected 0 to {num_classes - 1}, the positions in the '
                'vocabulary'
            )
    return pred[counted], truth


def iou_per_class(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class.

    Args:
        counts: Summed result of :func:`count_class_pixels`, (3, C).

    Returns:
        IoU in [0, 1], (C,) float64, NaN where neither the prediction nor the
        truth holds the class.
    """
    both, pred, truth = counts.astype(np.float64)
    union = pred + truth - both
    return np.divide(
        both, union, out=np.full_like(union, np.nan), where=union > 0
    )
