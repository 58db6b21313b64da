"""Curves of logged values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .logs import Log, known_keys
from .results.figures import COLOURS, new_figure, plain_text

_WIDTH, _HEIGHT = 8.0, 3.4  # inches, of one panel
_STYLES = ('-', '--', ':', '-.')
_FAINT = 0.25  # opacity of what a smoothed curve was made of
_MARKS = 'os^Dv'
_MARKS_OF_A_CURVE = 12  # about, however many points it has


@dataclass(frozen=True)
class Curve:
    """Values to draw.

    Attributes:
        key: Key of the log that they stand under.
        name: Name in the legend.
        points: Iteration and value, in order.
    """

    key: str
    name: str
    points: Sequence[tuple[int, float]]


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, not drawn towards 0 at its start.

    Args:
        values: Values in order; NaN stays and changes nothing else.
        weight: Of what came before, in [0, 1); 0 changes nothing.

    Raises:
        ValueError: If the weight is out of range.
    """
    if not 0 <= weight < 1:
        raise ValueError(f'smoothing: expected 0 <= weight < 1, got {weight}')
    total, mass, result = 0.0, 0.0, []
    for value in values:
        if math.isnan(value):
            result.append(value)
            continue
        total = weight * total + (1 - weight) * value
        mass = weight * mass + (1 - weight)
        result.append(total / mass)
    return result


def choose_curves(
    logs: Mapping[str, Log],
    keys: Sequence[str],
    legend: Sequence[str] | None = None,
) -> list[Curve]:
    """Take the keys out of each log.

    Args:
        logs: Logs by name.
        keys: Keys to draw of each.
        legend: A name for each curve, all keys of the first log first;
            without one, the parts of name and key that tell them apart.

    Raises:
        ValueError: If a log has no such key or no number under it, or the
            legend has another length.
    """
    pairs = [(name, key) for name in logs for key in keys]
    if legend is not None and len(legend) != len(pairs):
        raise ValueError(
            f'--legend: expected {len(pairs)} names, for {len(logs)} logs x '
            f'{len(keys)} keys, got {len(legend)}'
        )
    curves = []
    for (name, key), given in zip(pairs, legend or cycle(['']), strict=False):
        points = logs[name].curves.get(key)
        if points is None:
            raise ValueError(
                f'{name} has no key {key!r}; it has '
                + ', '.join(known_keys([logs[name]]))
            )
        if not any(math.isfinite(value) for _, value in points):
            raise ValueError(f'{name}: no value of {key!r} is a number')
        title = ' '.join(
            part
            for part, several in (
                (name, len(logs) > 1),
                (key, len(keys) > 1 or len(logs) == 1),
            )
            if several
        )
        curves.append(Curve(key, given or title, points))
    return curves


def curves_figure(
    curves: Sequence[Curve], *, title: str = '', weight: float = 0.0
) -> Figure:
    """Draw curves, one panel for each kind of value.

    Losses share a panel, metrics share one in percent, any other key has
    its own. Curves differ in colour and, so that they can be told apart
    without it, in dashes and marks.

    Args:
        curves: Curves to draw.
        title: Title of the figure.
        weight: See :func:`smooth`; the values themselves stay, faint.

    Raises:
        ValueError: If the weight is out of range.
    """
    kinds = list(dict.fromkeys(_kind(curve.key) for curve in curves))
    figure = new_figure(_WIDTH, _HEIGHT * len(kinds))
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    for kind, axes in zip(kinds, panels, strict=True):
        members = [curve for curve in curves if _kind(curve.key) == kind]
        for number, curve in enumerate(members):
            _draw(axes, curve, number, weight)
        axes.set_ylabel(kind)
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
        axes.legend(fontsize=8)
    panels[-1].set_xlabel('iteration')
    if title:
        figure.suptitle(plain_text(title))
    return figure


def _draw(axes: Axes, curve: Curve, number: int, weight: float) -> None:
    steps = [step for step, _ in curve.points]
    values = [value for _, value in curve.points]
    look: dict[str, Any] = {
        'color': COLOURS[number % len(COLOURS)],
        'linestyle': _STYLES[number % len(_STYLES)],
        'marker': _MARKS[number % len(_MARKS)],
        'markersize': 4,
        'markevery': max(1, len(steps) // _MARKS_OF_A_CURVE),
    }
    smoothed = smooth(values, weight)
    if weight:
        axes.plot(
            steps, values, color=look['color'], alpha=_FAINT, linewidth=1
        )
    axes.plot(steps, smoothed, label=plain_text(curve.name), **look)


def _kind(key: str) -> str:
    if '/' in key:
        return '%'
    return 'loss' if 'loss' in key.rpartition('.')[2] else plain_text(key)
