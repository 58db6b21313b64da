"""Seconds of a step too heavy to time, from a lighter one of the same kind."""

import json
from pathlib import Path
from typing import Any

from .passes import TOTAL


def read_rates(file: str) -> dict[str, Any]:
    """Read what an earlier measurement wrote.

    Args:
        file: What ``freeseg-mm bench train --out`` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no seconds.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f'--rates: no file {str(path)!r}')
    try:
        rates = json.loads(path.read_text('utf-8'))
        timed = all('seconds' in side for side in rates['sides'].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        timed = False
    if not timed:
        raise ValueError(
            f'--rates {path}: expected what `freeseg-mm bench train --out` '
            'writes, with seconds (so without --count-only)'
        )
    return rates


def predicted_seconds(
    result: dict[str, Any], rates: dict[str, Any]
) -> dict[str, Any]:
    """Scale each part's seconds by its multiply-adds.

    Parts without any (matching, losses) are scaled by the images' pixels.

    Args:
        result: Counted, of the size asked for.
        rates: Timed, of another size.

    Returns:
        ``seconds`` by side and part with a total, and ``ratio``, how many
        times cheaper the first side is.

    Raises:
        ValueError: If a side was not timed.
    """
    missing = set(result['sides']) - set(rates['sides'])
    if missing:
        raise ValueError(
            f'--rates holds {sorted(rates["sides"])}, not {sorted(missing)}; '
            'time the same sides'
        )
    pixels = _pixels(result) / _pixels(rates)
    seconds = {}
    for name, side in result['sides'].items():
        timed = rates['sides'][name]
        parts = {
            part: value
            * (
                side['macs'].get(part, 0) / timed['macs'][part]
                if timed['macs'].get(part)
                else pixels
            )
            for part, value in timed['seconds'].items()
            if part != TOTAL
        }
        seconds[name] = {**parts, TOTAL: sum(parts.values())}
    totals = [parts[TOTAL] for parts in seconds.values()]
    return {
        'seconds': seconds,
        'ratio': totals[1] / totals[0] if len(totals) == 2 else None,
    }


def prediction_lines(found: dict[str, Any]) -> str:
    """The prediction in words."""
    lines = [
        f'predicted for {name}: {parts[TOTAL]:.3g} s a step'
        for name, parts in found['seconds'].items()
    ]
    if found['ratio'] is not None:
        lines.append(f'predicted ratio of times: {found["ratio"]:.3g}')
    return '\n'.join(lines)


def _pixels(result: dict[str, Any]) -> int:
    options = result['settings']
    return options['batch'] * options['image_size'] ** 2
