"""A report as Markdown, laid out as in the paper."""

from collections.abc import Mapping, Sequence

from .filling import (
    Cell,
    Table,
    fill_table,
    mark_of_ours,
    mark_of_paper,
    mark_of_row,
    notes_of,
    other_results,
)
from .result_files import Result
from .row_configs import RowConfig

LEGEND = (
    'Percent, `paper / ours`; an empty place is a number that is not there.'
)
SPREAD = 'Ours is a mean over seeds ± its standard deviation.'


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
    parts += [_table(table, rows, results) for table in tables]
    others = other_results(rows, results)
    if others:
        parts += ['## Other results', _others(others)]
    if results:
        parts += ['## Where ours comes from', _origins(results)]
    return '\n\n'.join(parts) + '\n'


def _table(
    table: Table,
    rows: Mapping[str, RowConfig],
    results: Sequence[Result],
) -> str:
    filled = fill_table(table, rows, results)
    lines, section = [], ''
    for row in filled:
        if row.row.section != section:
            section = row.row.section
            lines.append([f'**{section}**'])
        *labels, last = row.row.labels
        mark = mark_of_row(row)
        lines.append(
            [
                *labels,
                f'{last} {mark}' if mark else last,
                *(_cell(cell) for cell in row.cells),
            ]
        )
    titles = [*table.label_titles, *(c.title for c in table.columns)]
    heading = f'## Table {table.number}. {table.title}'
    notes = [f'- {_escape(note)}' for note in notes_of(table, filled)]
    parts = [heading, _grid(titles, lines, len(table.label_titles))]
    return '\n\n'.join(parts + (['\n'.join(notes)] if notes else []))


def _cell(cell: Cell) -> str:
    if cell.paper is None and cell.ours is None:
        return ''
    paper = _number(cell.paper) + _escape(mark_of_paper(cell))
    ours = _number(cell.ours, cell.spread)
    if ours:
        ours += mark_of_ours(cell)
    # numbers one below the other, whether ours is there or not
    return f'{paper:>4} / {ours:<4}'


def _others(results: Sequence[Result]) -> str:
    titles = [result.title for result in results]
    names = [
        title if titles.count(title) == 1 else f'{title} ({result.path})'
        for title, result in zip(titles, results, strict=True)
    ]
    metrics = dict.fromkeys(m for result in results for m in result.metrics)
    lines = [
        [
            metric,
            *(
                _number(result.metrics.get(metric), result.spread.get(metric))
                for result in results
            ),
        ]
        for metric in metrics
    ]
    return _grid(['Metric', *map(_escape, names)], lines, 1)


def _origins(results: Sequence[Result]) -> str:
    lines = [
        [
            result.title,
            str(result.path),
            result.checkpoint,
            '' if result.images is None else str(result.images),
            ', '.join(f'{k}={v}' for k, v in result.options.items()),
        ]
        for result in results
    ]
    titles = ['Result', 'File', 'Weights', 'Images', 'Options']
    escaped = [list(map(_escape, line)) for line in lines]
    return _grid(titles, escaped, len(titles))


def _grid(
    titles: Sequence[str], lines: Sequence[Sequence[str]], num_left: int
) -> str:
    """A Markdown table; the first columns are aligned left."""
    full = [[*line, *[''] * (len(titles) - len(line))] for line in lines]
    cells = [list(titles), *full]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    padded = [
        [
            cell.ljust(width) if place < num_left else cell.rjust(width)
            for place, (cell, width) in enumerate(
                zip(line, widths, strict=True)
            )
        ]
        for line in cells
    ]
    rule = [
        '-' * width if place < num_left else '-' * (width - 1) + ':'
        for place, width in enumerate(widths)
    ]
    return '\n'.join(
        '| ' + ' | '.join(line) + ' |'
        for line in (padded[0], rule, *padded[1:])
    )


def _number(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return ''
    return f'{value:.1f}' if spread is None else f'{value:.1f} ± {spread:.1f}'


def _escape(text: str) -> str:
    """Keep what Markdown would read as its own."""
    return text.replace('|', '\\|').replace('*', '\\*')
