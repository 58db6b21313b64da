"""Cells of a table: printed numbers, their arithmetic, and our results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from freeseg_mm.evaluation.splits import harmonic_mean

from .result_files import Result
from .row_configs import RowConfig, same_results

_HALF_A_DIGIT = 0.05
"""Rounding of the paper's numbers, which have one digit behind the point."""


@dataclass(frozen=True)
class Column:
    """One metric of a table.

    Attributes:
        title: Head of the column.
        metric: Our name of the metric, as ``semantic/mIoU_seen``.
        source: Name of the dataset or transfer whose configs give the
            numbers; ``''`` in tables where a row has one source alone.
    """

    title: str
    metric: str
    source: str = ''


@dataclass(frozen=True)
class Row:
    """One method or setting.

    Attributes:
        labels: The cells before the first metric.
        section: Heading between rows that it stands under, may be empty.
        configs: By source, the rows under ``configs/tables`` that give the
            cells, as ``table1/semantic_coco_ours``; several if each
            predicts another task.
        cited: By source, the numbers that the paper took from others,
            percent, of its columns in order; ``None`` for a gap.
    """

    labels: tuple[str, ...]
    section: str = ''
    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cited: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of the paper, rows and columns in its order."""

    number: int
    title: str
    label_titles: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Cell:
    """One number of the paper and ours beside it.

    Attributes:
        paper: The printed number, percent; ``None`` if there is none.
        implied: The number that should be printed, where the printed one
            contradicts its neighbours.
        ours: Our number, percent; ``None`` if there is none.
        result: The result that ours was read from.
        spread: Standard deviation of ours, if it is a mean over seeds.
    """

    paper: float | None = None
    implied: float | None = None
    ours: float | None = None
    result: Result | None = None
    spread: float | None = None


@dataclass(frozen=True)
class FilledRow:
    """A row with its cells, in the order of the table's columns.

    Attributes:
        row: The row.
        cells: One for each column.
        views: Texts that CLIP's view is compared with, in words, the
            different ones of the row's configs.
    """

    row: Row
    cells: tuple[Cell, ...]
    views: tuple[str, ...] = ()


def contradictions(
    printed: Mapping[str, float], num_things: tuple[int, int] | None = None
) -> dict[str, float]:
    """Recompute what follows from other numbers of the same row.

    hIoU is the harmonic mean of both mIoU, mAP the mean over all classes of
    which the parts' means are known. A number contradicts if no values that
    round to what is printed beside it give one that rounds to it.

    Args:
        printed: Numbers of one row and dataset by metric, percent, rounded
            to one digit.
        num_things: Number of seen and of unseen thing classes; ``None`` if
            unknown, then mAP is not checked.

    Returns:
        What should be there, percent, by the metric that contradicts.
    """
    rules: dict[str, tuple[str, Callable[[float, float], float]]] = {
        'semantic/hIoU': ('semantic/mIoU', harmonic_mean)
    }
    if num_things is not None:
        rules['instance/mAP'] = (
            'instance/mAP',
            partial(_mean_of_classes, *num_things),
        )
    found = {}
    for metric, (parts, rule) in rules.items():
        value = printed.get(metric)
        seen = printed.get(f'{parts}_seen')
        unseen = printed.get(f'{parts}_unseen')
        if value is None or seen is None or unseen is None:
            continue
        # both rules grow with either part
        low = rule(seen - _HALF_A_DIGIT, unseen - _HALF_A_DIGIT)
        high = rule(seen + _HALF_A_DIGIT, unseen + _HALF_A_DIGIT)
        slack = _HALF_A_DIGIT + 1e-9
        if not low - slack <= value <= high + slack:
            found[metric] = rule(seen, unseen)
    return found


def _mean_of_classes(
    num_seen: int, num_unseen: int, seen: float, unseen: float
) -> float:
    total = num_seen * seen + num_unseen * unseen
    return total / (num_seen + num_unseen)


def fill_table(
    table: Table, rows: Mapping[str, RowConfig], results: Sequence[Result]
) -> list[FilledRow]:
    """Fill a table.

    A row takes the result of its own config, or else of one that trains and
    tests alike, so that one test of a model may fill several tables.

    Args:
        table: Rows and columns.
        rows: The configs of all rows by name.
        results: Results, of whichever rows.

    Raises:
        ValueError: If two results are of the same row, or the table names a
            row that has no config.
    """
    return [
        FilledRow(row, _fill_row(row, table, rows, results), _views(row, rows))
        for row in table.rows
    ]


def _views(row: Row, rows: Mapping[str, RowConfig]) -> tuple[str, ...]:
    names = [name for several in row.configs.values() for name in several]
    views = dict.fromkeys(rows[name].view for name in names)
    return tuple(view for view in views if view)


def other_results(
    rows: Mapping[str, RowConfig], results: Sequence[Result]
) -> list[Result]:
    """Select the results that are of no row of a table."""
    return [result for result in results if result.row not in rows]


def _fill_row(
    row: Row,
    table: Table,
    rows: Mapping[str, RowConfig],
    results: Sequence[Result],
) -> tuple[Cell, ...]:
    cells: dict[Column, Cell] = {}
    for source in {column.source: None for column in table.columns}:
        columns = [each for each in table.columns if each.source == source]
        names = row.configs.get(source, ())
        missing = [name for name in names if name not in rows]
        if missing:
            raise ValueError(
                f'Table {table.number}, {" ".join(row.labels)}: no config '
                f'of {missing} among the {len(rows)} rows'
            )
        configs = [rows[name] for name in names]
        cited = zip(columns, row.cited.get(source, ()), strict=False)
        printed = {
            column.metric: value
            for column, value in cited
            if value is not None
        }
        ours: dict[str, Result] = {}
        for config in configs:
            printed |= config.paper
            result = _result_of(config, rows, results)
            if result is not None:
                ours |= dict.fromkeys(config.paper, result)
        implied = contradictions(
            printed, configs[0].num_things if configs else None
        )
        for column in columns:
            metric, result = column.metric, ours.get(column.metric)
            cells[column] = Cell(
                paper=printed.get(metric),
                implied=implied.get(metric),
                ours=result.metrics.get(metric) if result else None,
                result=result,
                spread=result.spread.get(metric) if result else None,
            )
    return tuple(cells[column] for column in table.columns)


def _result_of(
    config: RowConfig, rows: Mapping[str, RowConfig], results: Sequence[Result]
) -> Result | None:
    own = [result for result in results if result.row == config.name]
    if len(own) > 1:
        raise ValueError(
            f'{len(own)} results of {config.name}: '
            f'{[str(result.path) for result in own]}; give one of them'
        )
    alike = (
        result
        for result in results
        if (other := rows.get(result.row or ''))
        and not result.changes
        and same_results(config, other, rows)
    )
    return own[0] if own else next(alike, None)
