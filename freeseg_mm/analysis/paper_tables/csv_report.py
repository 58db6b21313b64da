"""A report as CSV, one number of the paper and ours a line."""

import csv
import io
from collections.abc import Mapping, Sequence

from .filling import Table, fill_table, other_results
from .result_files import Result
from .row_configs import RowConfig

FIELDS = (
    'table',
    'section',
    'row',
    'column',
    'metric',
    'paper',
    'paper_implied',
    'ours',
    'ours_lacks',
    'result',
    'options',
)


def csv_report(
    tables: Sequence[Table],
    rows: Mapping[str, RowConfig],
    results: Sequence[Result],
) -> str:
    """List every cell, in the order of tables, rows and columns.

    Args:
        tables: The tables of the paper.
        rows: The configs of their rows by name.
        results: Our results; those of no row come last, as table ``other``.

    Returns:
        CSV with a header, see :data:`FIELDS`; numbers are percent, missing
        ones empty. ``paper_implied`` is filled where the printed number
        contradicts those beside it.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, restval='', lineterminator='\n')
    writer.writeheader()
    for table in tables:
        for filled in fill_table(table, rows, results):
            for column, cell in zip(table.columns, filled.cells, strict=True):
                if cell.paper is None and cell.ours is None:
                    continue
                lacks = filled.lacks.get(column.source, ())
                writer.writerow(
                    {
                        'table': table.number,
                        'section': filled.row.section,
                        'row': ' '.join(filled.row.labels),
                        'column': column.title,
                        'metric': column.metric,
                        'paper': _number(cell.paper, 1),
                        'paper_implied': _number(cell.implied, 1),
                        'ours': _number(cell.ours, 4),
                        'ours_lacks': '; '.join(lacks),
                        **_origin(cell.result),
                    }
                )
    for result in other_results(rows, results):
        for metric, value in result.metrics.items():
            writer.writerow(
                {
                    'table': 'other',
                    'row': result.title,
                    'metric': metric,
                    'ours': _number(value, 4),
                    **_origin(result),
                }
            )
    return text.getvalue()


def _origin(result: Result | None) -> dict[str, str]:
    if result is None:
        return {}
    options = '; '.join(f'{k}={v}' for k, v in result.options.items())
    return {'result': str(result.path), 'options': options}


def _number(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
