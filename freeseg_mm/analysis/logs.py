"""Scalars that mmengine logs: one file, or the runs of a work folder."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeseg_mm.utils.files import naming_errors, parse_json

_LOG = Path('vis_data') / 'scalars.json'
_PLACES = ('step', 'iter', 'epoch')
"""Keys of a line that are no values to plot."""


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
