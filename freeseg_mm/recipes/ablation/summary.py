"""Mean and spread over the seeds, beside the paper's numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from freeseg_mm.analysis.paper_tables import (
    TABLES,
    RowConfig,
    fill_table,
    markdown_report,
)
from freeseg_mm.analysis.paper_tables.filling import Table
from freeseg_mm.analysis.paper_tables.result_files import Result

from .rows import AblationRow


def summarize(
    rows: Sequence[AblationRow],
    results: Mapping[str, Mapping[int, Result]],
    paper: Mapping[str, RowConfig],
) -> dict[str, Any]:
    """Summarize results over the seeds.

    Args:
        rows: The rows that were trained and tested.
        results: By row and seed; rows and seeds that failed are left out.
        paper: The rows of the paper's tables by name.

    Returns:
        ``rows``: by name, ``config``, ``weights`` (the row that was
        trained), ``paper_row``, ``paper`` (its printed numbers), ``seeds``
        (metrics of each), ``mean`` and ``std`` over the seeds (of n - 1
        degrees of freedom, ``None`` for a single seed). Percent; a metric
        that any seed has no number of is ``None``.
    """
    summary = {}
    for row in rows:
        seeds = {
            seed: result.metrics
            for seed, result in sorted(results.get(row.name, {}).items())
        }
        names = dict.fromkeys(n for each in seeds.values() for n in each)
        spread = {
            name: _mean_and_std([each.get(name) for each in seeds.values()])
            for name in names
        }
        printed = paper.get(row.paper_row or '')
        summary[row.name] = {
            'config': str(row.config),
            'weights': row.weights.stem,
            'paper_row': row.paper_row,
            'paper': printed.paper if printed else {},
            'seeds': {str(seed): metrics for seed, metrics in seeds.items()},
            'mean': {name: value for name, (value, _) in spread.items()},
            'std': {name: value for name, (_, value) in spread.items()},
        }
    return {'rows': summary}


def tables_of(
    summary: Mapping[str, Any],
    paper: Mapping[str, RowConfig],
    folder: Path,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Write a summary as Markdown, in the layout of the paper's tables.

    Rows that stand for none of the paper's get a table of their own.

    Args:
        summary: As :func:`summarize` gives it.
        paper: The rows of the paper's tables by name.
        folder: The work dir of all runs.
        options: Entries that were overridden in all configs.
    """
    results = [
        Result(
            path=folder / name,
            title=f'{name} ({_seeds(row["seeds"])})',
            metrics=row['mean'],
            spread=row['std'],
            row=row['paper_row'],
            checkpoint=f'{folder / row["weights"]}/seed_*/train',
            options=dict(options or {}),
        )
        for name, row in summary['rows'].items()
        if row['seeds']
    ]
    tables = [table for table in TABLES if _is_filled(table, paper, results)]
    return markdown_report(tables, paper, results)


def _is_filled(
    table: Table, paper: Mapping[str, RowConfig], results: Sequence[Result]
) -> bool:
    return any(
        cell.ours is not None
        for row in fill_table(table, paper, results)
        for cell in row.cells
    )


def _seeds(metrics: Mapping[str, Any]) -> str:
    return f'seed{"s" * (len(metrics) > 1)} {", ".join(metrics)}'


def _mean_and_std(
    values: Sequence[float | None],
) -> tuple[float | None, float | None]:
    numbers = [value for value in values if value is not None]
    if not numbers or len(numbers) < len(values):
        return None, None
    return mean(numbers), stdev(numbers) if len(numbers) > 1 else None
