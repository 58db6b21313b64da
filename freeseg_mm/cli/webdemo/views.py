"""Pictures and legends of a prediction, task by task."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from freeseg_mm.apis.results import ImageResult
from freeseg_mm.structures import Task
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    class_colours,
    class_patterns,
    draw_segments,
    shrink,
)
from freeseg_mm.visualization.palette import inked
from freeseg_mm.visualization.panel import readable_scale

PICTURE_SIDE = 1024
"""Longer side of a picture; smaller images are enlarged to read well."""


@dataclass(frozen=True)
class LegendRow:
    """One region in a legend.

    Attributes:
        name: Of its class.
        colour: Of its class, RGB in [0, 255].
        is_thing: Whether it is an object, not stuff.
        is_seen: Whether training had labels of its class.
        score: In [0, 1]; ``None`` for the semantic task, which has none.
        share: Part of the image that it covers, in [0, 1].
        pattern: Of its class, see ``class_patterns``: the same in all tasks.
    """

    name: str
    colour: tuple[int, int, int]
    is_thing: bool
    is_seen: bool
    score: float | None
    share: float
    pattern: int = 0


@dataclass(frozen=True, eq=False)
class TaskView:
    """The prediction of one task.

    Attributes:
        picture: The regions over the image, RGB, (H', W', 3), uint8.
        rows: The regions: objects best first, semantic classes largest
            first.
    """

    picture: np.ndarray
    rows: tuple[LegendRow, ...]


def task_views(
    result: ImageResult, max_side: int = PICTURE_SIDE
) -> dict[Task, TaskView]:
    """Draw each predicted task.

    Args:
        result: The predictions.
        max_side: A larger image is drawn smaller, to this longer side.
    """
    vocabulary = result.vocabulary
    shown = {task: _ordered(found) for task, found in result.regions().items()}
    image, smaller = shrink(result.image, shown, max_side)
    labels = {x.label for found in shown.values() for x in found.regions}
    patterns = class_patterns(labels, vocabulary.names)
    colours = class_colours(vocabulary.names).tolist()
    return {
        task: TaskView(
            draw_segments(
                image,
                smaller[task],
                vocabulary,
                scale=readable_scale(*image.shape[:2]),
                patterns=patterns,
            ),
            tuple(
                LegendRow(
                    name=vocabulary.names[region.label],
                    colour=tuple(colours[region.label]),
                    is_thing=vocabulary.is_thing[region.label],
                    is_seen=vocabulary.is_seen[region.label],
                    score=region.score,
                    share=float(region.mask.mean()),
                    pattern=patterns[region.label],
                )
                for region in found.regions
            ),
        )
        for task, found in shown.items()
    }


def _ordered(found: TaskRegions) -> TaskRegions:
    """Regions with the best score, else of the largest area, first."""

    def importance(region: Region) -> float:
        return region.mask.sum() if region.score is None else region.score

    return replace(
        found, regions=sorted(found.regions, key=importance, reverse=True)
    )


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
