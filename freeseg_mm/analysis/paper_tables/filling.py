"""Put printed numbers and results into the cells of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from freeseg_mm.evaluation.splits import harmonic_mean

from .result_files import Result
from .row_configs import RowConfig, same_results

_HALF_A_DIGIT = 0.05
"""The paper prints one digit behind the point."""


def contradictions(
    printed: Mapping[str, float], num_things: tuple[int, int] | None = None
) -> dict[str, float]:
    """Recompute what follows from other numbers of the same row.

    hIoU is the harmonic mean of both mIoU, mAP the mean over all classes of
    which the parts' means are known. A number contradicts if no values that
    round to what is printed beside it give one that rounds to it.

    Args:
        printed: Numbers of one row and data set by metric, percent, rounded
            to one digit.
        num_things: Number of seen and of unseen thing classes; ``None`` if
            unknown, then mAP is not checked.

    Returns:
        What should be there, percent, by the metric that contradicts.
    """
    found = {}
    rules: list[tuple[str, str, Callable[[float, float], float]]] = [
        ('semantic/hIoU', 'semantic/mIoU', harmonic_mean)
    ]
    if num_things is not None:
        seen, unseen = num_things

        def mean_of_classes(first: float, second: float) -> float:
            return (seen * first + unseen * second) / (seen + unseen)

        rules.append(('instance/mAP', 'instance/mAP', mean_of_classes))
    for metric, parts, rule in rules:
        pair = [printed.get(f'{parts}_{split}') for split in _SPLITS]
        value = printed.get(metric)
        if value is None or pair[0] is None or pair[1] is None:
            continue
        # both rules grow with either part
        low, high = (
            rule(pair[0] + shift, pair[1] + shift)
            for shift in (-_HALF_A_DIGIT, _HALF_A_DIGIT)
        )
        slack = _HALF_A_DIGIT + 1e-9
        if not low - slack <= value <= high + slack:
            found[metric] = rule(pair[0], pair[1])
    return found


_SPLITS = ('seen', 'unseen')


@dataclass(frozen=True)
class Column:
    """One metric of a table.

    Attributes:
        title: Head of the column.
        metric: Our name of the metric, as ``semantic/mIoU_seen``.
        source: Which of a row's configs it is of; rows of one data set have
            the single source ``''``.
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
            cells, as ``table1/semantic_coco_ours``; several if each answers
            another task.
        cited: By source, the numbers that the paper took from others, one
            for each column of the source, percent.
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

    def columns_of(self, source: str) -> list[Column]:
        """The columns of one source, in order."""
        return [column for column in self.columns if column.source == source]


@dataclass(frozen=True)
class Cell:
    """One number of the paper and ours beside it.

    Attributes:
        paper: What is printed, percent; ``None`` if nothing is.
        implied: What should be printed, if that contradicts its neighbours.
        ours: Our number, percent; ``None`` if there is none.
        result: Where ours comes from.
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
        lacks: By source, the parts of the method that ours does without.
    """

    row: Row
    cells: tuple[Cell, ...]
    lacks: Mapping[str, tuple[str, ...]]


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
    return [_fill_row(row, table, dict(rows), results) for row in table.rows]


def other_results(
    rows: Mapping[str, RowConfig], results: Sequence[Result]
) -> list[Result]:
    """The results that are of no row of a table."""
    return [result for result in results if result.row not in rows]


def _fill_row(
    row: Row,
    table: Table,
    rows: dict[str, RowConfig],
    results: Sequence[Result],
) -> FilledRow:
    cells: dict[tuple[str, str], Cell] = {}
    lacks = {}
    for source in {column.source: None for column in table.columns}:
        metrics = [column.metric for column in table.columns_of(source)]
        names = row.configs.get(source, ())
        missing = [name for name in names if name not in rows]
        if missing:
            raise ValueError(
                f'Table {table.number}, {" ".join(row.labels)}: no config '
                f'of {missing} among the {len(rows)} rows'
            )
        configs = [rows[name] for name in names]
        printed: dict[str, float] = {
            metric: value
            for metric, value in zip(
                metrics, row.cited.get(source, ()), strict=False
            )
            if value is not None
        }
        for config in configs:
            printed |= config.paper
        num_things = configs[0].num_things if configs else None
        implied = contradictions(printed, num_things)
        ours = {
            metric: result
            for config in configs
            if (result := _result_of(config, rows, results)) is not None
            for metric in config.paper
        }
        for metric in metrics:
            result = ours.get(metric)
            cells[source, metric] = Cell(
                paper=printed.get(metric),
                implied=implied.get(metric),
                ours=result.metrics.get(metric) if result else None,
                result=result,
                spread=result.spread.get(metric) if result else None,
            )
        without = sorted({part for config in configs for part in config.lacks})
        if without:
            lacks[source] = tuple(without)
    return FilledRow(
        row=row,
        cells=tuple(
            cells[column.source, column.metric] for column in table.columns
        ),
        lacks=lacks,
    )


def _result_of(
    config: RowConfig, rows: dict[str, RowConfig], results: Sequence[Result]
) -> Result | None:
    own = [result for result in results if result.row == config.name]
    if len(own) > 1:
        raise ValueError(
            f'{len(own)} results of {config.name}: '
            f'{[str(result.path) for result in own]}; give one of them'
        )
    if own:
        return own[0]
    for result in results:
        if (
            result.row in rows
            and not result.changes
            and same_results(config, rows[result.row], rows)
        ):
            return result
    return None


CONTRADICTION, LACKING, OPTIONS = '*', '†', '‡'


def mark_of_paper(cell: Cell) -> str:
    """Mark of a printed number, empty if it is sound."""
    return '' if cell.implied is None else CONTRADICTION


def mark_of_ours(cell: Cell) -> str:
    """Mark of our number, empty if it was tested as the config says."""
    return OPTIONS if cell.result and cell.result.changes else ''


def mark_of_row(row: FilledRow) -> str:
    """Mark of a row, empty if ours has all parts of the method."""
    return LACKING if row.lacks else ''


def notes_of(table: Table, rows: Sequence[FilledRow]) -> list[str]:
    """One sentence for each mark, beginning with it."""
    notes = []
    names = [_name(filled, number) for number, filled in enumerate(rows, 1)]
    for name, filled in zip(names, rows, strict=True):
        for column, cell in zip(table.columns, filled.cells, strict=True):
            if cell.implied is not None:
                notes.append(
                    f'{CONTRADICTION} {name}, {column.title}: the paper '
                    f'prints {cell.paper:.1f}, its own numbers beside it '
                    f'give {cell.implied:.1f}'
                )
    for name, filled in zip(names, rows, strict=True):
        for lacks in dict.fromkeys(filled.lacks.values()):
            sources = [s for s in filled.lacks if filled.lacks[s] == lacks]
            of = f' ({", ".join(sources)})' if all(sources) else ''
            notes.append(
                f'{LACKING} {name}{of}: ours is without '
                f'{" and ".join(lacks)}, not there yet'
            )
    for name, filled in zip(names, rows, strict=True):
        options = {
            cell.result.path: cell.result.changes
            for cell in filled.cells
            if cell.result and cell.result.changes
        }
        for path, values in options.items():
            settings = ', '.join(f'{k}={v}' for k, v in values.items())
            notes.append(
                f'{OPTIONS} {name}: {path} was tested with {settings}'
            )
    return notes


def _name(filled: FilledRow, number: int) -> str:
    labels = filled.row.labels[0]
    if len(filled.row.labels) > 1:
        labels = f'row {number}'
    section = filled.row.section
    return f'{section}, {labels}' if section else labels
