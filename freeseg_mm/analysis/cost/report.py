"""Costs as tables for people and as ratios."""

from collections.abc import Sequence
from typing import Any

from .meter import OTHER
from .passes import TOTAL, Contender
from .probes import TRAFFIC

TITLES = {
    'counts': 'Counts',
    'macs': 'Multiply-adds (GMAC)',
    'seconds': 'Seconds (median)',
    'peak_bytes': 'Peak memory above the start (MiB)',
}
UNITS = {'macs': 1e9, 'seconds': 1.0, 'peak_bytes': 2.0**20}


def table(kind: str, sides: Sequence[Contender], parts: Sequence[str]) -> str:
    """One kind of cost, a row a part and a column a side.

    Args:
        kind: One of ``counts``, ``macs``, ``seconds``, ``peak_bytes``.
        sides: Measured sides. One that remembers things has a column more
            for its first image.
        parts: Order of the parts; those that no side has are left out.
    """
    columns = []
    for side in sides:
        if 'first' in side.costs:
            columns.append((f'{side.name}, first', side.costs['first']))
        columns.append((side.name, side.costs))
    costs = [column.get(kind) for _, column in columns]
    if all(cost is None for cost in costs):
        return f'{TITLES[kind]}: this system cannot tell'
    rows = (
        _count_rows(costs, parts)
        if kind == 'counts'
        else _amount_rows(costs, parts, UNITS[kind])
    )
    return _layout(TITLES[kind], [name for name, _ in columns], rows)


def ratios(this: Contender, against: Contender) -> dict[str, Any]:
    """How many times cheaper the first side is; by part and in total."""
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
    """The ratios of totals as a sentence each."""
    lines = []
    for kind, what in (('macs', 'multiply-adds'), ('seconds', 'time')):
        if kind not in found:
            continue
        first = found.get(f'{kind}_first')
        note = '' if first is None else f' (first image {_number(first)} x)'
        lines.append(
            f'{against.name} takes {_number(found[kind])} x the {what} of '
            f'{this.name}{note}'
        )
    return '\n'.join(lines)


def agreement_lines(found: dict[str, Any]) -> str:
    """What :func:`sameness` found, as a sentence each."""
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
) -> list[list[str]]:
    rows = []
    for part in parts:
        values = [cost['calls'].get(part, 0) for cost in costs]
        if any(values):
            rows.append([f'{part}, passes', *map(_number, values)])
    for what in TRAFFIC:
        values = [cost.get(what) for cost in costs]
        if any(value is not None for value in values):
            rows.append([what, *map(_number, values)])
    rows.append(
        ['host syncs', *(_number(cost['host_syncs'][TOTAL]) for cost in costs)]
    )
    return rows


def _amount_rows(
    costs: Sequence[dict[str, Any]], parts: Sequence[str], unit: float
) -> list[list[str]]:
    rows = []
    for part in (*parts, OTHER, TOTAL):
        values = [cost.get(part) for cost in costs]
        if any(value is not None for value in values):
            rows.append(
                [
                    part,
                    *(
                        _number(None if value is None else value / unit)
                        for value in values
                    ),
                ]
            )
    return rows


def _number(value: float | None) -> str:
    if value is None:
        return '-'
    if isinstance(value, int):
        return f'{value:,}'
    return f'{value:,.1f}' if abs(value) >= 100 else f'{value:.3g}'


def _layout(
    title: str, names: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    cells = [[title, *names], *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join(
        '  '.join(
            [
                row[0].ljust(widths[0]),
                *(
                    cell.rjust(width)
                    for cell, width in zip(row[1:], widths[1:], strict=True)
                ),
            ]
        ).rstrip()
        for row in cells
    )
