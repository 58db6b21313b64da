"""Reports of the tables: Markdown laid out as in the paper, and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence

from freeseg_mm.utils.tables import markdown_table, markdown_text

from .filling import Cell, FilledRow, Table, fill_table, other_results
from .result_files import Result
from .row_configs import RowConfig

LEGEND = (
    'Percent, `paper / ours`; an empty place is a number that is not there.'
)
SPREAD = 'Ours is a mean over seeds ± its standard deviation.'
CONTRADICTION, OPTIONS = '*', '‡'
"""Marks of a printed number and of ours, each explained below its table."""
FIELDS = (
    'table',
    'section',
    'row',
    'column',
    'metric',
    'paper',
    'paper_implied',
    'ours',
    'result',
    'options',
)


def markdown_report(
    tables: Sequence[Table],
    rows: Mapping[str, RowConfig],
    results: Sequence[Result],
) -> str:
    """Lay out tables, then the results that are in none of them.

    Args:
        tables: The tables of the paper.
        rows: The configs of their rows by name.
        results: Our results.

    Returns:
        Markdown, with a line break at its end.
    """
    parts = ['# Results beside the paper', LEGEND]
    spreads = [value for r in results for value in r.spread.values()]
    if any(value is not None for value in spreads):
        parts.append(SPREAD)
    for table in tables:
        parts += _table(table, fill_table(table, rows, results))
    others = other_results(rows, results)
    if others:
        parts += ['## Other results', _others(others)]
    if results:
        parts += ['## Where ours comes from', _origins(results)]
    return '\n\n'.join(parts) + '\n'


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
                writer.writerow(
                    {
                        'table': table.number,
                        'section': filled.row.section,
                        'row': ' '.join(filled.row.labels),
                        'column': column.title,
                        'metric': column.metric,
                        'paper': _number(cell.paper),
                        'paper_implied': _number(cell.implied),
                        **_ours(cell.ours, cell.result),
                    }
                )
    for result in other_results(rows, results):
        for metric, value in result.metrics.items():
            writer.writerow(
                {
                    'table': 'other',
                    'row': result.title,
                    'metric': metric,
                    **_ours(value, result),
                }
            )
    return text.getvalue()


def _ours(value: float | None, result: Result | None) -> dict[str, str]:
    if result is None:
        return {}
    return {
        'ours': '' if value is None else f'{value:.4f}',
        'result': str(result.path),
        'options': _settings(result.options, '; '),
    }


def _table(table: Table, filled: Sequence[FilledRow]) -> list[str]:
    """Heading, grid and notes of one table, those that there are."""
    lines, section = [], ''
    for each in filled:
        if each.row.section != section:
            section = each.row.section
            lines.append([f'**{section}**'])
        lines.append([*each.row.labels, *map(_cell, each.cells)])
    titles = [*table.label_titles, *(f':{c.title}' for c in table.columns)]
    heading = f'## Table {table.number}. {table.title}'
    parts = [heading, markdown_table(titles, lines)]
    notes = [f'- {markdown_text(note)}' for note in _notes(table, filled)]
    return parts + (['\n'.join(notes)] if notes else [])


def _cell(cell: Cell) -> str:
    if cell.paper is None and cell.ours is None:
        return ''
    paper, ours = _number(cell.paper), _number(cell.ours, cell.spread)
    if cell.implied is not None:
        paper += markdown_text(CONTRADICTION)
    if ours and cell.result and cell.result.changes:
        ours += OPTIONS
    # numbers one below the other, whether ours is there or not
    return f'{paper:>4} / {ours:<4}'


def _notes(table: Table, rows: Sequence[FilledRow]) -> list[str]:
    """One sentence for each mark, beginning with it, and what CLIP reads."""
    notes, of_options = [], {}
    readers: dict[str, list[str]] = {}
    for number, filled in enumerate(rows, 1):
        labels, section = filled.row.labels, filled.row.section
        name = labels[0] if len(labels) == 1 else f'row {number}'
        name = f'{section}, {name}' if section else name
        for view in filled.views:
            readers.setdefault(view, []).append(name)
        for column, cell in zip(table.columns, filled.cells, strict=True):
            if cell.implied is not None:
                notes.append(
                    f'{CONTRADICTION} {name}, {column.title}: the paper '
                    f'prints {_number(cell.paper)}, its own numbers beside '
                    f'it give {_number(cell.implied)}'
                )
            if cell.result and cell.result.changes:
                of_options[name, cell.result.path] = cell.result.changes
    for (name, path), changes in of_options.items():
        settings = _settings(changes, ', ')
        notes.append(f'{OPTIONS} {name}: {path} was tested with {settings}')
    for view, names in readers.items():
        notes.append(f'CLIP compares masks with {view}: {"; ".join(names)}')
    return notes


def _others(results: Sequence[Result]) -> str:
    titles = [result.title for result in results]
    names = [
        title if titles.count(title) == 1 else f'{title} ({result.path})'
        for title, result in zip(titles, results, strict=True)
    ]
    return markdown_table(
        ['Metric', *(f':{markdown_text(name)}' for name in names)],
        [
            [
                metric,
                *(
                    _number(each.metrics.get(metric), each.spread.get(metric))
                    for each in results
                ),
            ]
            for metric in dict.fromkeys(m for r in results for m in r.metrics)
        ],
    )


def _origins(results: Sequence[Result]) -> str:
    lines = [
        (
            result.title,
            str(result.path),
            result.checkpoint,
            '' if result.images is None else str(result.images),
            _settings(result.options, ', '),
        )
        for result in results
    ]
    return markdown_table(
        ['Result', 'File', 'Weights', 'Images', 'Options'],
        [list(map(markdown_text, line)) for line in lines],
    )


def _settings(options: Mapping[str, object], separator: str) -> str:
    return separator.join(f'{key}={value}' for key, value in options.items())


def _number(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return ''
    return f'{value:.1f}' if spread is None else f'{value:.1f} ± {spread:.1f}'
