"""Means over the seen, the unseen and all classes, and a table of them."""

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np
from mmengine.logging import print_log
from rich.table import Table

from freeseg_mm.utils.tables import render_table


def class_mean(values: np.ndarray) -> float:
    """Mean over the classes that have a value.

    Args:
        values: One value per class, (C,) float, NaN where the class does not
            occur.

    Returns:
        The mean, NaN (never 0) if no class has a value.
    """
    values = np.asarray(values, dtype=np.float64)
    occurring = values[~np.isnan(values)]
    return float(occurring.mean()) if occurring.size else float('nan')


def split_means(
    values: Mapping[str, np.ndarray], is_seen: Sequence[bool]
) -> dict[str, float]:
    """Mean of each quantity over the seen, the unseen and all classes.

    A set in which no class has a value gives NaN and is logged as a warning,
    once for all quantities. A vocabulary without seen classes (the
    cross-dataset protocol) or without unseen ones has one set only: the
    other gives NaN without a warning.

    Args:
        values: Per quantity, one value per class, (C,) float, NaN where the
            class does not occur. A class occurs for all quantities or none.
        is_seen: Per class, whether it is seen, (C,).

    Returns:
        For each quantity ``q``: ``q_seen``, ``q_unseen`` and ``q``, in the
        unit of the values.

    Raises:
        ValueError: If an array does not hold one value per class.
    """
    seen = np.asarray(is_seen, dtype=bool)
    members = {'seen': seen, 'unseen': ~seen, 'all': np.ones_like(seen)}
    arrays = {name: np.asarray(values[name], np.float64) for name in values}
    for quantity, array in arrays.items():
        if array.shape != seen.shape:
            raise ValueError(
                f'{quantity}: expected one value for each of {seen.size} '
                f'classes, got shape {array.shape}'
            )
    means: dict[str, float] = {}
    for name, member in members.items():
        suffix = '' if name == 'all' else f'_{name}'
        found = {
            f'{quantity}{suffix}': class_mean(array[member])
            for quantity, array in arrays.items()
        }
        if member.any() and np.isnan(list(found.values())).any():
            print_log(
                f'{", ".join(arrays)} over the set {name!r} of classes: none '
                f'of its {int(member.sum())} classes occurs here, so the mean '
                'is NaN',
                logger='current',
                level=logging.WARNING,
            )
        means.update(found)
    return means


def harmonic_mean(first: float, second: float) -> float:
    """Harmonic mean of two non-negative numbers, as hIoU of two mIoU.

    Returns:
        ``2ab / (a + b)``; 0 if one of them is 0, NaN if one of them is NaN.
    """
    if first == 0 and second == 0:
        return 0.0
    return 2 * first * second / (first + second)


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
