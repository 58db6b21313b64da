"""Confusions of classes, counted in pixels, and their picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from freeseg_mm.evaluation.semantic_iou import counted_runs
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization.fonts import font_families

from .figures import class_text, new_figure


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class that were called another.

    Attributes:
        gt: Position of the true class in the vocabulary.
        pred: Position of the predicted class.
        pixels: How many.
        share: Of all pixels of the true class, in (0, 1].
    """

    gt: int
    pred: int
    pixels: int
    share: float


def count_confusion(
    pred: np.ndarray, gt: np.ndarray, num_classes: int, ignore_index: int
) -> np.ndarray:
    """Count the pixels of each pair of true and predicted class.

    Args:
        pred: Predicted class of every pixel, (H, W) int in [0, C), or
            ``void_label(C)`` for none, which is left out.
        gt: True class of every pixel, (H, W) int in [0, C), or
            ``ignore_index`` for a pixel that does not count.
        num_classes: C.
        ignore_index: The value of ``gt`` that does not count.

    Returns:
        Pixels, (C, C) int64, a row for each true class. Counts of several
        images can be added.

    Raises:
        ValueError: If the maps differ in shape or hold other values.
    """
    pred, gt, pixels = counted_runs(pred, gt, num_classes, ignore_index)
    known = pred < num_classes
    pair = gt[known].astype(np.int64) * num_classes + pred[known]
    counts = np.bincount(pair, pixels[known], num_classes**2)
    return counts.astype(np.int64).reshape(num_classes, num_classes)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Divide the pixels of each true class among the predicted ones.

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
    """List the confusions with the largest share of their true class.

    Args:
        counts: Summed result of :func:`count_confusion`, (C, C).
        number: Most mistakes to return.

    Returns:
        Largest share first, then most pixels, then lowest position.
    """
    shares = row_shares(counts)
    mistakes = [
        Mistake(
            int(gt),
            int(pred),
            int(counts[gt, pred]),
            float(shares[gt, pred]),
        )
        for gt, pred in np.argwhere(counts > 0)
        if gt != pred
    ]
    mistakes.sort(key=lambda m: (-m.share, -m.pixels, m.gt, m.pred))
    return mistakes[:number]


def most_confused(counts: np.ndarray, number: int) -> list[int]:
    """Choose the classes that lose or take most, to keep a matrix readable.

    A class loses the wrong share of its own pixels, and takes the sum of the
    shares that other classes lose to it. Classes that neither the ground
    truth nor the prediction holds are never chosen.

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
    """Divide the pixels of seen and of unseen classes by what they became.

    Args:
        counts: Summed result of :func:`count_confusion`, (C, C).
        is_seen: Per class, whether it is seen.

    Returns:
        For true classes that are ``seen`` and ``unseen``, where there is a
        pixel of them: the share of their pixels that is ``right``, called
        ``another seen`` or ``another unseen`` class. Each sums to 1.
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


_CELL, _NAMES = 0.3, 1.5  # inches
_KEY, _TITLE = 1.2, 0.5  # inches, right of and above the matrix
_LEAST_WIDTH, _LEAST_HEIGHT = 6.5, 4.5  # inches; room for the title
_LEAST_WRITTEN = 0.5  # percent; smaller shares are left to the colour
_OTHERS = 'all other classes'


def confusion_figure(
    counts: np.ndarray, vocabulary: Vocabulary, classes: Sequence[int]
) -> Figure:
    """Draw the shares of each true class that were predicted as each class.

    Args:
        counts: Pixels by true and predicted class, (C, C).
        vocabulary: Names of the classes.
        classes: Positions to draw, in this order; a last column sums up the
            predictions of all others, so that each row holds 100 %.

    Returns:
        A figure with a row for each true class.
    """
    percent = 100 * shown_shares(counts, classes)
    names = [
        class_text(vocabulary.names[i], is_seen=vocabulary.is_seen[i])
        for i in classes
    ]
    columns = names + [_OTHERS] * (percent.shape[1] - len(names))
    figure = new_figure(
        max(_LEAST_WIDTH, len(columns) * _CELL + _NAMES + _KEY),
        max(_LEAST_HEIGHT, len(names) * _CELL + _NAMES + _TITLE),
    )
    figure.set_layout_engine('compressed')  # for cells that stay square
    axes = figure.subplots()
    # paper white for none, and dark for much: read without colour vision
    image = axes.imshow(
        np.ma.masked_invalid(percent), cmap='Blues', vmin=0, vmax=100
    )
    axes.set_facecolor('#dddddd')
    for row, column in np.argwhere(percent >= _LEAST_WRITTEN):
        value = percent[row, column]
        axes.text(
            column,
            row,
            f'{value:.0f}',
            ha='center',
            va='center',
            fontsize=6.5,
            color='white' if value > 60 else 'black',
        )
    for place in range(len(names)):
        axes.add_patch(
            Rectangle((place - 0.5, place - 0.5), 1, 1, fill=False, lw=0.8)
        )
    look: dict[str, Any] = {
        'fontsize': 8,
        'fontfamily': font_families(names),
    }
    axes.set_xticks(range(len(columns)), columns, rotation=90, **look)
    axes.set_yticks(range(len(names)), names, **look)
    axes.set_xlabel('predicted')
    axes.set_ylabel('true')
    axes.set_title(
        'Pixels of each true class, %; ★ is unseen, framed is right'
    )
    figure.colorbar(image, ax=axes, shrink=0.6, label='%')
    return figure


def shown_shares(counts: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Compute the shares of some classes, with all others in one column.

    Args:
        counts: Pixels by true and predicted class, (C, C).
        classes: K different positions.

    Returns:
        Shares in [0, 1], (K, K + 1), or (K, K) if the classes are all; NaN
        in the rows of classes without a pixel.
    """
    rows = counts[list(classes)]
    shown = rows[:, list(classes)]
    if len(classes) < len(counts):
        rest = rows.sum(axis=1) - shown.sum(axis=1)
        shown = np.concatenate([shown, rest[:, None]], axis=1)
    return row_shares(shown)
