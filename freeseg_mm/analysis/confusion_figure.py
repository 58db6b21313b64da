"""The confusion of classes as a coloured matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from freeseg_mm.structures import Vocabulary

from .confusion import row_shares
from .figures import class_text, new_figure

_CELL, _NAMES = 0.3, 1.5  # inches
_KEY, _TITLE = 1.2, 0.5  # inches, right of and above the matrix
_LEAST_WIDTH, _LEAST_HEIGHT = 6.5, 4.5  # inches; room for the title
_LEAST_WRITTEN = 0.5  # percent; smaller shares are left to the colour
_OTHERS = 'all other classes'


def confusion_figure(
    counts: np.ndarray, vocabulary: Vocabulary, classes: Sequence[int]
) -> Figure:
    """Draw where the pixels of each true class went, in percent.

    Args:
        counts: Pixels by true and predicted class, (C, C).
        vocabulary: Names of the classes.
        classes: Which to draw, in this order; a last column sums up the
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
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel('predicted')
    axes.set_ylabel('true')
    axes.set_title(
        'Pixels of each true class, %; ★ is unseen, framed is right'
    )
    figure.colorbar(image, ax=axes, shrink=0.6, label='%')
    return figure


def shown_shares(counts: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Shares of some classes, with all others in one column.

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
