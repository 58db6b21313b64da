"""Tables of ``rich`` as plain text, and one of scores."""

import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

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


def score_table(
    rows: Mapping[str, Mapping[str, float | None]],
    columns: Mapping[str, str],
) -> str:
    """Set the seen and unseen means of several runs below each other.

    Args:
        rows: Metrics by the title of their row, percent.
        columns: Metric names without ``_seen`` and ``_unseen``, by the
            title of their pair of columns, as ``{'panoptic PQ':
            'panoptic/PQ'}``.

    Returns:
        The table, without a line break at its end; a mean over no class
        (NaN or ``None``) is a dash.

    Raises:
        KeyError: If a row lacks a metric; both are named.
    """
    table = Table('', box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in columns:
        table.add_column(f'{title}\n seen  unseen', justify='right')
    for title, metrics in rows.items():
        cells = []
        for key in columns.values():
            pair = []
            for name in (f'{key}_seen', f'{key}_unseen'):
                if name not in metrics:
                    raise KeyError(f'{title}: no metric {name!r}')
                pair.append(_percent(metrics[name]))
            cells.append(f'{pair[0]:>5}  {pair[1]:>6}')
        table.add_row(title, *cells)
    return render_table(table)


def _percent(value: float | None) -> str:
    return '-' if value is None or math.isnan(value) else f'{value:.1f}'
