"""Bars of the scores of all classes, best first."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from freeseg_mm.evaluation.results import ClassScore
from freeseg_mm.evaluation.splits import class_mean
from freeseg_mm.visualization.fonts import font_families

from .figures import BLACK, BLUE, ORANGE, class_text, new_figure, plain_text

_ROWS = 48  # of one column; more classes make more columns
_COLUMN_WIDTH, _ROW_HEIGHT, _FRAME = 5.5, 0.21, 1.3  # inches
# Seen bars are plain and blue, unseen ones hatched and orange.
_LOOKS: dict[bool, dict[str, Any]] = {
    True: {'facecolor': BLUE, 'edgecolor': BLUE},
    False: {'facecolor': ORANGE, 'edgecolor': BLACK, 'hatch': '////'},
}
_MEAN_STYLES: dict[bool, Any] = {True: '--', False: ':'}


def sorted_scores(scores: Sequence[ClassScore]) -> list[ClassScore]:
    """List the classes that occur, best first, equal ones as they came."""
    found = [score for score in scores if score.value is not None]
    return sorted(found, key=lambda score: -(score.value or 0))


def class_bars(
    scores: Sequence[ClassScore], *, title: str, measure: str
) -> Figure:
    """Draw a bar for each class that occurs.

    Args:
        scores: The classes of one task.
        title: Title of the figure.
        measure: Name of the values, as ``IoU``.

    Raises:
        ValueError: If no class occurs.
    """
    ordered = sorted_scores(scores)
    if not ordered:
        raise ValueError(f'{title}: no class occurs, nothing to draw')
    columns = math.ceil(len(ordered) / _ROWS)
    rows = math.ceil(len(ordered) / columns)
    figure = new_figure(
        columns * _COLUMN_WIDTH, max(3, rows * _ROW_HEIGHT + _FRAME)
    )
    figure.suptitle(plain_text(title))
    for column, axes in enumerate(
        figure.subplots(1, columns, squeeze=False)[0]
    ):
        _draw(axes, ordered[column * rows : (column + 1) * rows], rows)
        axes.set_xlabel(f'{measure}, %')
    means = _means(ordered)
    for axes in figure.axes:
        for is_seen, mean in means.items():
            axes.axvline(
                mean, color=BLACK, linewidth=1, linestyle=_MEAN_STYLES[is_seen]
            )
    figure.legend(
        handles=_key(ordered, means),
        loc='outside lower center',
        ncols=2,
        frameon=False,
    )
    return figure


def _draw(axes: Axes, scores: Sequence[ClassScore], rows: int) -> None:
    for place, score in enumerate(scores):
        value = score.value or 0.0
        axes.barh(place, value, height=0.75, **_LOOKS[score.is_seen])
        axes.text(
            value + 1,
            place,
            f'{value:.1f}',
            va='center',
            fontsize=7,
            bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.4},
        )
    axes.set_yticks(
        range(len(scores)),
        [class_text(score.name, is_seen=score.is_seen) for score in scores],
        fontsize=8,
        fontfamily=font_families(score.name for score in scores),
    )
    axes.set_ylim(rows - 0.4, -0.6)  # the same height in every column
    axes.set_xlim(0, 108)
    axes.spines[['top', 'right']].set_visible(False)


def _means(scores: Sequence[ClassScore]) -> dict[bool, float]:
    """Mean by whether a class is seen, where there is one that occurs."""
    return {
        is_seen: class_mean(np.array(values))
        for is_seen in (True, False)
        if (values := [s.value or 0.0 for s in scores if s.is_seen is is_seen])
    }


def _key(
    scores: Sequence[ClassScore], means: dict[bool, float]
) -> list[Patch | Line2D]:
    names = {True: 'seen', False: '★ unseen'}
    entries: list[Patch | Line2D] = []
    for is_seen, mean in means.items():
        count = sum(score.is_seen is is_seen for score in scores)
        name = names[is_seen]
        entries += [
            Patch(label=f'{name} ({count} classes)', **_LOOKS[is_seen]),
            Line2D(
                [],
                [],
                color=BLACK,
                linewidth=1,
                linestyle=_MEAN_STYLES[is_seen],
                label=f'mean of {name}: {mean:.1f}',
            ),
        ]
    return entries
