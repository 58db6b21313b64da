"""A legend as a piece of HTML."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from freeseg_mm.visualization.patterns import inked

from .views import LegendRow

_NOTHING = 'nothing found; a smaller least score shows more'


def legend_table(rows: Sequence[LegendRow]) -> str:
    """Lay out a legend: swatch, name, kind, score and share of the image.

    Names are escaped. Classes that training had no labels of have a star.

    Args:
        rows: The regions, shown in this order.
    """
    if not rows:
        return f'<p class="freeseg-note">{_NOTHING}</p>'
    head = ''.join(
        f'<th>{text}</th>' for text in ('', 'name', '', 'score', 'image')
    )
    body = ''.join(f'<tr>{_cells(row)}</tr>' for row in rows)
    star = (
        ''
        if all(row.is_seen for row in rows)
        else '<p class="freeseg-note">★ had no labels in training</p>'
    )
    return (
        '<div class="freeseg-legend"><table>'
        f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'{star}'
    )


def _cells(row: LegendRow) -> str:
    colour = _css_colour(row.colour)
    ink = _css_colour(np.rint(inked(np.array(row.colour))).astype(int))
    kind = 'thing' if row.is_thing else 'stuff'
    star = '' if row.is_seen else ' <span class="freeseg-star">★</span>'
    cells = {
        'swatch': f'<i class="{kind} pattern-{row.pattern}" '
        f'style="background-color:{colour};--ink:{ink}"></i>',
        'name': f'{escape(row.name)}{star}',
        'kind': kind,
        'score': '' if row.score is None else _bar(row.score),
        'share': f'{row.share:.1%}',
    }
    return ''.join(
        f'<td class="{name}">{content}</td>' for name, content in cells.items()
    )


def _css_colour(rgb: Iterable[int]) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*rgb)


def _bar(score: float) -> str:
    return (
        f'<span class="bar"><b style="width:{score:.0%}"></b></span>'
        f'{score:.2f}'
    )
