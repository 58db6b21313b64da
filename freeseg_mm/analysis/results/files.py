"""Tables as CSV and in Markdown, numbers as text."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_csv(
    path: Path, titles: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table with a header; the folder must exist."""
    with open(path, 'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(titles)
        writer.writerows(rows)


def markdown_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """A Markdown table, without a line break at its end.

    Args:
        titles: Of the columns; those that begin with a colon, which is left
            out, are aligned right.
        rows: Cells as plain text.
    """
    heads = [title.removeprefix(':') for title in titles]
    rules = ['--:' if title.startswith(':') else '---' for title in titles]
    lines = [heads, rules, *rows]
    cells = (map(markdown_text, line) for line in lines)
    return '\n'.join(f'| {" | ".join(line)} |' for line in cells)


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, also within a table."""
    for sign in ('\\', '|', '*', '`', '[', '<'):
        text = text.replace(sign, f'\\{sign}')
    return text


def percent(value: float | None, digits: int = 1) -> str:
    """A number of percent as text, a dash where there is none."""
    if value is None or math.isnan(value):
        return '-'
    return f'{value:.{digits}f}'
