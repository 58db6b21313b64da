"""What the page shows of an answer, task by task."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from PIL import Image

from freeseg_mm.apis.results import ImageResult
from freeseg_mm.structures import Task
from freeseg_mm.utils.resampling import fitting, nearest
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    class_colours,
    class_patterns,
    draw_segments,
)
from freeseg_mm.visualization.panel import readable_scale
from freeseg_mm.visualization.patterns import inked

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
    """The answer of one task.

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
    """Draw each task that was answered.

    Args:
        result: The answers.
        max_side: A larger image is drawn smaller, to this longer side.
    """
    image = _shrink(result, max_side)
    scale = readable_scale(*image.shape[:2])
    names = result.vocabulary.names
    shown = dict(_task_regions(result))
    labels = {x.label for found in shown.values() for x in found.regions}
    patterns = class_patterns(labels, names)
    views = {}
    for task, regions in shown.items():
        views[task] = TaskView(
            draw_segments(
                image,
                _resized(regions, image.shape[:2]),
                result.vocabulary,
                scale=scale,
                patterns=patterns,
            ),
            tuple(
                _row(region, result, patterns[region.label])
                for region in regions.regions
            ),
        )
    return views


def _shrink(result: ImageResult, max_side: int) -> np.ndarray:
    height, width = fitting(result.size, max_side)
    return np.asarray(Image.fromarray(result.image).resize((width, height)))


def _task_regions(
    result: ImageResult,
) -> Iterator[tuple[Task, TaskRegions]]:
    """Regions of each task at the size of the image."""
    if result.label_map is not None:
        labels, areas = np.unique(result.label_map, return_counts=True)
        largest_first = labels[np.argsort(-areas, kind='stable')]
        yield (
            Task.SEMANTIC,
            TaskRegions(
                [
                    Region(np.equal(result.label_map, label), int(label))
                    for label in largest_first
                ]
            ),
        )
    if result.masks is not None:
        yield (
            Task.INSTANCE,
            TaskRegions(
                [Region(x.mask, x.label, x.score) for x in result.masks]
            ),
        )
    if result.segments is not None and result.segment_map is not None:
        yield (
            Task.PANOPTIC,
            TaskRegions(
                [
                    Region(result.segment_mask(x), x.label, x.score)
                    for x in sorted(result.segments, key=lambda x: -x.score)
                ],
                np.equal(result.segment_map, 0),
            ),
        )


def _resized(regions: TaskRegions, size: tuple[int, ...]) -> TaskRegions:
    height, width = size
    ignored = regions.ignored
    return TaskRegions(
        [
            replace(region, mask=nearest(region.mask, (height, width)))
            for region in regions.regions
        ],
        None if ignored is None else nearest(ignored, (height, width)),
    )


def _row(region: Region, result: ImageResult, pattern: int) -> LegendRow:
    words = result.vocabulary
    red, green, blue = class_colours(words.names)[region.label].tolist()
    return LegendRow(
        name=words.names[region.label],
        colour=(red, green, blue),
        is_thing=words.is_thing[region.label],
        is_seen=words.is_seen[region.label],
        score=region.score,
        share=float(region.mask.mean()),
        pattern=pattern,
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
