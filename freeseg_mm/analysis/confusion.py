"""Which classes are taken for which, counted in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freeseg_mm.evaluation.semantic_iou import counted_classes


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class that were called another.

    Attributes:
        truth: Position of the true class in the vocabulary.
        pred: Position of the predicted class.
        pixels: How many.
        share: Of all pixels of the true class, in (0, 1].
    """

    truth: int
    pred: int
    pixels: int
    share: float


def count_confusion(
    pred: np.ndarray, truth: np.ndarray, num_classes: int, ignore_index: int
) -> np.ndarray:
    """Count the pixels of each pair of true and predicted class.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C).
        truth: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: The value of ``truth`` that does not count.

    Returns:
        Pixels, (C, C) int64, a row for each true class. Counts of several
        images can be added.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    pred, truth = counted_classes(pred, truth, num_classes, ignore_index)
    pair = truth.astype(np.int64) * num_classes + pred
    counts = np.bincount(pair, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Where the pixels of each true class went.

    Args:
        counts: (R, C), pixels.

    Returns:
        Shares in [0, 1], (R, C) float64, each row sums to 1; NaN in the rows
        of classes without a pixel.
    """
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(
        counts,
        totals,
        out=np.full(counts.shape, np.nan),
        where=totals > 0,
    )


def largest_mistakes(counts: np.ndarray, number: int) -> list[Mistake]:
    """The confusions with the largest share of their true class.

    Args:
        counts: Summed result of :func:`count_confusion`, (C, C).
        number: Most mistakes to return.

    Returns:
        Largest share first, then most pixels, then lowest position.
    """
    shares = row_shares(counts)
    mistakes = [
        Mistake(
            int(truth),
            int(pred),
            int(counts[truth, pred]),
            float(shares[truth, pred]),
        )
        for truth, pred in np.argwhere(counts > 0)
        if truth != pred
    ]
    mistakes.sort(key=lambda m: (-m.share, -m.pixels, m.truth, m.pred))
    return mistakes[:number]


def most_confused(counts: np.ndarray, number: int) -> list[int]:
    """The classes that lose or take most, for a matrix one can still read.

    What a class loses is the wrong share of its own pixels; what it takes is
    the sum of the shares that other classes lose to it. Classes that neither
    the truth nor the prediction holds are never chosen.

    Args:
        counts: Summed result of :func:`count_confusion`, (C, C).
        number: Most classes to choose.

    Returns:
        Positions in the vocabulary, ascending.
    """
    shares = np.nan_to_num(row_shares(counts))
    np.fill_diagonal(shares, 0)
    weight = shares.sum(axis=0) + shares.sum(axis=1)
    occurs = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    chosen = sorted(occurs.tolist(), key=lambda i: (-weight[i], i))
    return sorted(chosen[:number])


def split_shares(
    counts: np.ndarray, is_seen: Sequence[bool]
) -> dict[str, dict[str, float]]:
    """Where the pixels of seen and of unseen classes went.

    Args:
        counts: Summed result of :func:`count_confusion`, (C, C).
        is_seen: Per class, whether it is seen.

    Returns:
        For the truth ``seen`` and ``unseen``, where there is a pixel of it:
        the share of its pixels that is ``right``, called ``another seen``
        or ``another unseen`` class. Each sums to 1.
    """
    seen = np.asarray(is_seen, dtype=bool)
    wrong = counts - np.diag(np.diag(counts))
    shares = {}
    for name, rows in (('seen', seen), ('unseen', ~seen)):
        total = int(counts[rows].sum())
        if total:
            shares[name] = {
                'right': float(np.diag(counts)[rows].sum()) / total,
                'another seen': float(wrong[rows][:, seen].sum()) / total,
                'another unseen': float(wrong[rows][:, ~seen].sum()) / total,
            }
    return shares
