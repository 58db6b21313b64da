"""Put printed numbers and results into the cells of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .arithmetic import contradictions
from .layout import Row, Table
from .result_files import Result
from .row_configs import RowConfig, same_results


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
