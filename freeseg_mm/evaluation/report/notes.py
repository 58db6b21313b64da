"""What has to be said below a table."""

from collections.abc import Sequence

from .filling import Cell, FilledRow
from .layout import Table

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
