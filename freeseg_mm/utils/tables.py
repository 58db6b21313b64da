"""Tables as plain text, in Markdown and as CSV, and their cells."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .files import atomic_path

_WIDEST = 10_000  # columns; a table takes no more than it needs


def render_table(table: Table) -> str:
    """Render a table at its full width, for logs and files.

    Returns:
        Lines without colours, trailing blanks and a line break at the end.
        Brackets and colons in cells stay as they are.
    """
    console = Console(
        width=_WIDEST,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
    return '\n'.join(line.rstrip() for line in captured.get().splitlines())


def write_csv(
    path: Path, titles: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table with a header; the folder must exist."""
    with (
        atomic_path(path) as name,
        open(name, 'w', encoding='utf-8', newline='') as file,
    ):
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(titles)
        writer.writerows(rows)


def markdown_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """Lay out a Markdown table whose columns also line up as plain text.

    Args:
        titles: Titles of the columns; those that begin with a colon, which
            is left out, are aligned right.
        rows: Cells in Markdown; a row may end early.

    Returns:
        The table, without a line break at its end.
    """
    heads = [title.removeprefix(':') for title in titles]
    lines = [[*row, *[''] * (len(heads) - len(row))] for row in rows]
    widths = [
        max(3, *map(len, column)) for column in zip(heads, *lines, strict=True)
    ]
    is_right = [title.startswith(':') for title in titles]
    rule = [
        '-' * (width - right) + ':' * right
        for width, right in zip(widths, is_right, strict=True)
    ]
    padded = [
        [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_right, strict=True)
        ]
        for line in (heads, rule, *lines)
    ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in padded)


def markdown_text(text: str) -> str:
    """Escape text so that Markdown shows it as it is, also in a table."""
    for sign in ('\\', '|', '*', '`', '[', '<'):
        text = text.replace(sign, f'\\{sign}')
    return text


def percent(value: float | None, digits: int = 1) -> str:
    """Format a number of percent; a dash where there is none."""
    if value is None or math.isnan(value):
        return '-'
    return f'{value:.{digits}f}'
