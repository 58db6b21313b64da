"""Scalars that mmengine logs: read from a file or a work folder, and drawn."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from freeseg_mm.utils.files import naming_errors, parse_json

from .results.figures import COLOURS, new_figure, plain_text

_LOG = Path('vis_data') / 'scalars.json'
_PLACES = ('step', 'iter', 'epoch')
"""Keys of a line that are no values to plot."""
_WIDTH, _HEIGHT = 8.0, 3.4  # inches, of one panel
_STYLES = ('-', '--', ':', '-.')
_FAINT = 0.25  # opacity of what a smoothed curve was made of
_MARKS = 'os^Dv'
_MARKS_OF_A_CURVE = 12  # about, however many points it has


@dataclass(frozen=True)
class Log:
    """Logged values in the order of training.

    Attributes:
        curves: By key, the iteration and the value of each line that has it.
        steps: Iterations that training logged, ascending.
    """

    curves: dict[str, list[tuple[int, float]]]
    steps: list[int]

    @property
    def start(self) -> int:
        """Iterations done when the first interval of the log began.

        0 for a training that was started, more for one that was resumed. Of
        a single line it cannot be told; it counts as started.
        """
        if len(self.steps) < 2:
            return 0
        pairs = zip(self.steps, self.steps[1:], strict=False)
        interval = min(later - sooner for sooner, later in pairs)
        return max(0, self.steps[0] - interval)

    def until(self, step: int) -> 'Log':
        """Keep what was logged up to an iteration, which is included."""
        return Log(
            {
                key: points
                for key, curve in self.curves.items()
                if (points := [point for point in curve if point[0] <= step])
            },
            [logged for logged in self.steps if logged <= step],
        )

    def followed_by(self, other: 'Log') -> 'Log':
        """Join this log and a later one."""
        keys = dict.fromkeys([*self.curves, *other.curves])
        return Log(
            {
                key: self.curves.get(key, []) + other.curves.get(key, [])
                for key in keys
            },
            self.steps + other.steps,
        )


def read_log(path: Path) -> Log:
    """Read ``vis_data/scalars.json``, or the ``.json`` beside it.

    A key that training and validation both log, as ``time``, is
    training's. Validation may tell its epoch for its step (mmengine's
    default); its values stand no earlier than the last iteration logged
    before them. A last line cut short, as a killed run leaves it, is left
    out with a warning.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such log; the file and the line are named.
    """
    lines = _read_lines(path)
    steps: list[int] = []
    of_training: dict[str, list[tuple[int, float]]] = {}
    of_validation: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        step = line['step']
        if 'iter' in line:
            target = of_training
            steps.append(step)
        else:
            target = of_validation
            step = max([step, *steps[-1:]])
        for key, value in line.items():
            if key not in _PLACES and isinstance(value, int | float):
                target.setdefault(key, []).append((step, value))
    return Log({**of_validation, **of_training}, steps)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f'no log {path}')
    with naming_errors(path):
        texts = path.read_text('utf-8').splitlines()
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(texts, start=1):
        try:
            line = parse_json(text)
        except ValueError as error:
            if number == len(texts) and lines:
                warnings.warn(
                    f'{path}, line {number} is cut short and left out',
                    stacklevel=2,
                )
                break
            raise ValueError(
                f'{path}, line {number}: not JSON ({error}); expected '
                "vis_data/scalars.json of a run or the run's .json beside it"
            ) from None
        if not isinstance(line, dict) or not isinstance(line.get('step'), int):
            raise ValueError(
                f'{path}, line {number}: no line of a training log, it has '
                "no 'step'; results of a test cannot be plotted"
            )
        lines.append(line)
    if not lines:
        raise ValueError(f'{path}: the log is empty')
    return lines


def known_keys(logs: Sequence[Log]) -> list[str]:
    """List all keys of some logs, as they come, the metrics last."""
    keys = dict.fromkeys(key for log in logs for key in log.curves)
    return sorted(keys, key=lambda key: '/' in key)


def read_run(path: Path) -> Log:
    """Read a log file, or the newest training of a work folder.

    Each start of ``tools/train.py`` makes a folder named after its time. A
    resumed run is joined with the one before it, of which what it logged up
    to the resumed iteration counts. Tests, which log no training, are
    passed over.

    Args:
        path: A log, a work folder, or one of its time-stamped folders.

    Raises:
        FileNotFoundError: If there is no such file, or no log in the folder.
        ValueError: If a file is no log.
    """
    if not path.is_dir():
        return read_log(path)
    if (path / _LOG).is_file():
        return read_log(path / _LOG)
    files = sorted(path.glob(f'*/{_LOG}'), reverse=True)
    logs = (read_log(file) for file in files if file.stat().st_size)
    trainings = (log for log in logs if log.steps)
    joined = next(trainings, None)
    if joined is None:
        raise FileNotFoundError(
            f'no log of a training in {path}; expected '
            f'{path / "TIME" / _LOG}, which tools/train.py writes'
        )
    while joined.start and (earlier := next(trainings, None)):
        joined = earlier.until(joined.start).followed_by(joined)
    return joined


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
