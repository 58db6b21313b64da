"""Seen and unseen scores as a table to read."""

import math
from collections.abc import Mapping

# As wide as two numbers: five characters and six.
_HALVES = ' seen  unseen'


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
    first = max(len(title) for title in rows)
    widths = [max(len(title), len(_HALVES)) for title in columns]
    titles, halves = [' ' * first], [' ' * first]
    for title, width in zip(columns, widths, strict=True):
        titles.append(title.rjust(width))
        halves.append(_HALVES.rjust(width))
    lines = ['   '.join(titles), '   '.join(halves)]
    for title, metrics in rows.items():
        cells = [title.ljust(first)]
        for key, width in zip(columns.values(), widths, strict=True):
            pair = []
            for name in (f'{key}_seen', f'{key}_unseen'):
                if name not in metrics:
                    raise KeyError(f'{title}: no metric {name!r}')
                pair.append(_percent(metrics[name]))
            cells.append(f'{pair[0]:>5}  {pair[1]:>6}'.rjust(width))
        lines.append('   '.join(cells))
    return '\n'.join(lines)


def _percent(value: float | None) -> str:
    return '-' if value is None or math.isnan(value) else f'{value:.1f}'
