"""Costs as tables for people and as ratios."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from rich.table import Table

from freeseg_mm.utils.tables import render_table

from .meter import OTHER
from .options import KINDS, BenchOptions
from .passes import TOTAL, Contender, measure
from .probes import TRAFFIC
from .settings import settings

TITLES = {
    'counts': 'Counts',
    'macs': 'Multiply-adds (GMAC)',
    'seconds': 'Seconds (median)',
    'peak_bytes': 'Peak memory above the start (MiB)',
}
UNITS = {'macs': 1e9, 'seconds': 1.0, 'peak_bytes': 2.0**20}
print_now = partial(print, flush=True)
"""Print so that a long measurement may be watched."""


def measure_and_show(
    contenders: Sequence[Contender],
    options: BenchOptions,
    device: torch.device,
    show: Callable[[str], None],
    kinds: Sequence[str] = KINDS,
) -> dict[str, Any]:
    """Measure, show a table of each kind of cost and the ratios of totals.

    Args:
        contenders: One or two of them.
        options: Options of the measurement.
        device: Device that they run on.
        show: Called with each table as soon as it is known.
        kinds: Kinds of cost, of :data:`KINDS`.

    Returns:
        ``settings``; ``sides``, the costs of each contender by name (see
        :func:`measure`); with two of them ``ratio`` (see :func:`ratios`).
    """
    measure(
        contenders,
        device=device,
        runs=options.runs,
        warmup=options.warmup,
        show=lambda kind: show(cost_table(kind, contenders) + '\n'),
        kinds=kinds,
    )
    result: dict[str, Any] = {
        'settings': settings(options, device),
        'sides': {each.name: each.costs for each in contenders},
    }
    if len(contenders) == 2:
        this, against = contenders
        result['ratio'] = ratios(this, against)
        if result['ratio']:
            show(ratio_lines(this, against, result['ratio']))
    return result


def cost_table(kind: str, contenders: Sequence[Contender]) -> str:
    """Lay out one kind of cost, a row a part and a column a contender.

    Args:
        kind: One of ``counts``, ``macs``, ``seconds``, ``peak_bytes``.
        contenders: Measured ones. One that remembers things has a column
            more for its first image.
    """
    columns = {}
    for each in contenders:
        if 'first' in each.costs:
            columns[f'{each.name}, first'] = each.costs['first'].get(kind)
        columns[each.name] = each.costs.get(kind)
    costs = list(columns.values())
    if all(cost is None for cost in costs):
        return f'{TITLES[kind]}: this system cannot tell'
    parts = dict.fromkeys(
        hotspot.part for each in contenders for hotspot in each.hotspots
    )
    table = Table(TITLES[kind], box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify='right')
    for title, values in (
        _count_rows(costs, list(parts))
        if kind == 'counts'
        else _amount_rows(costs, list(parts), UNITS[kind])
    ):
        if any(value is not None for value in values):
            table.add_row(title, *map(_number, values))
    return render_table(table)


def ratios(this: Contender, against: Contender) -> dict[str, Any]:
    """Divide the costs of the second by those of the first.

    Returns:
        Of ``macs`` and ``seconds``, as far as they were measured, the ratio
        of totals under that name, and ``..._by_part`` and ``..._first`` (of
        the first image) beside it; ``None`` where the first takes nothing.
    """
    found: dict[str, Any] = {}
    for kind in ('macs', 'seconds'):
        if kind not in this.costs:
            continue
        ours, theirs = this.costs[kind], against.costs[kind]
        found[kind] = _ratio(theirs[TOTAL], ours[TOTAL])
        found[f'{kind}_by_part'] = {
            part: _ratio(theirs[part], ours[part])
            for part in theirs
            if part in ours and part != TOTAL
        }
        if 'first' in this.costs:
            first = this.costs['first'][kind][TOTAL]
            found[f'{kind}_first'] = _ratio(theirs[TOTAL], first)
    return found


def ratio_lines(
    this: Contender, against: Contender, found: dict[str, Any]
) -> str:
    """Say the ratios of totals in a sentence each."""
    lines = []
    for kind, noun in (('macs', 'multiply-adds'), ('seconds', 'time')):
        if kind not in found:
            continue
        first = found.get(f'{kind}_first')
        note = '' if first is None else f' (first image {_number(first)} x)'
        lines.append(
            f'{against.name} takes {_number(found[kind])} x the {noun} of '
            f'{this.name}{note}'
        )
    return '\n'.join(lines)


def agreement_lines(found: dict[str, Any]) -> str:
    """Say the findings of :func:`agreement` in a sentence each."""
    lines = [
        f'{name}: largest difference {_number(found[key])} of the largest '
        'magnitude'
        if found[key] is not None
        else f'{name}: not comparable, the two differ in shape'
        for key, name in (
            ('class_probs', 'class probabilities'),
            ('mask_logits', 'mask logits'),
        )
    ]
    if found['left_out']:
        lines.append(
            f'{100 * found["left_out"]:.1f} % of the masks are classified by '
            'one side only'
        )
    shares = [
        f'{task} {100 * share:.3f} %'
        for task, share in found['pixels'].items()
    ]
    return '\n'.join([*lines, f'equal result pixels: {", ".join(shares)}'])


def _ratio(theirs: float, ours: float) -> float | None:
    return theirs / ours if ours else None


def _count_rows(
    costs: Sequence[dict[str, Any]], parts: Sequence[str]
) -> list[tuple[str, list]]:
    return [
        *(
            (f'{part}, passes', [cost['calls'].get(part, 0) for cost in costs])
            for part in parts
            if any(part in cost['calls'] for cost in costs)
        ),
        *((what, [cost.get(what) for cost in costs]) for what in TRAFFIC),
        ('host syncs', [cost['host_syncs'][TOTAL] for cost in costs]),
    ]


def _amount_rows(
    costs: Sequence[dict[str, Any]], parts: Sequence[str], unit: float
) -> list[tuple[str, list]]:
    return [
        (
            part,
            [x / unit if (x := c.get(part)) is not None else x for c in costs],
        )
        for part in (*parts, OTHER, TOTAL)
    ]


def _number(value: float | None) -> str:
    if value is None:
        return '-'
    if isinstance(value, int):
        return f'{value:,}'
    return f'{value:,.1f}' if abs(value) >= 100 else f'{value:.3g}'
