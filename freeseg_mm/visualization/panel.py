"""One picture of the ground truth and predictions of an image."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from freeseg_mm.structures import Task, Vocabulary

from .legend import GROUND, legend
from .palette import class_patterns
from .regions import Region, TaskRegions
from .segments import draw_segments, enlarge_image, name_tag

# A side that reads well; smaller images are enlarged towards it.
_READABLE_SIDE = 384
_GAP = 6
_CAPTION = 22


def panel(
    image: np.ndarray,
    rows: Mapping[str, Mapping[Task, TaskRegions]],
    vocabulary: Vocabulary,
    *,
    scale: int | None = None,
    title: str = 'image',
) -> np.ndarray:
    """Draw an image beside the regions of each task and a legend.

    Sources stand side by side, a row for each task; the image stands at the
    top left, the legend of all classes that occur below it. A single source
    or a single task makes one row, with the legend at its right.

    Args:
        image: RGB, (H, W, 3), uint8.
        rows: Regions of each task by title, as ``{'ground truth':
            gt_regions(...), 'prediction': prediction_regions(...)}``. Every
            task that occurs is drawn.
        vocabulary: Classes of the labels.
        scale: Enlargement; chosen by the image's size if not given.
        title: Caption of the image.

    Returns:
        RGB, (H', W', 3), uint8.

    Raises:
        ValueError: If there is nothing to draw, and for what
            :func:`draw_segments` refuses.
    """
    tasks = [
        task for task in Task if any(task in row for row in rows.values())
    ]
    if not tasks:
        raise ValueError('nothing to draw: no row has regions of a task')
    scale = scale or readable_scale(*image.shape[:2])
    shown = [
        region
        for views in rows.values()
        for task_regions in views.values()
        for region in task_regions.regions
    ]
    labels = {region.label for region in shown}
    patterns = class_patterns(labels, vocabulary.names)
    lines = [
        [
            _cell(
                draw_segments(
                    image,
                    views[task],
                    vocabulary,
                    scale=scale,
                    patterns=patterns,
                ),
                f'{task.value}: {name}',
            )
            if task in views
            else None
            for name, views in rows.items()
        ]
        for task in tasks
    ]
    if len(rows) == 1:
        lines = [[cell for (cell,) in lines]]
    first = _cell(enlarge_image(image, scale), title)
    beside = len(lines) == 1
    key = Image.fromarray(
        legend(
            labels,
            vocabulary,
            width=1 if beside else first.width,
            height=first.height if beside else None,
            scores=_best_scores(shown),
        ).picture
    )
    return _arrange(first, lines, key, beside=beside)


def _best_scores(regions: Iterable[Region]) -> dict[int, float]:
    best: dict[int, float] = {}
    for region in regions:
        if region.score is not None:
            best[region.label] = max(
                region.score, best.get(region.label, region.score)
            )
    return best


def _cell(drawn: np.ndarray, caption: str) -> Image.Image:
    """A picture below its caption."""
    height, width = drawn.shape[:2]
    cell = Image.new('RGB', (width, _CAPTION + height), GROUND)
    tag = name_tag(caption, is_seen=True)
    cell.paste(tag, (0, (_CAPTION - tag.height) // 2), tag)
    cell.paste(Image.fromarray(drawn), (0, _CAPTION))
    return cell


def _arrange(
    first: Image.Image,
    lines: Sequence[Sequence[Image.Image | None]],
    key: Image.Image,
    *,
    beside: bool,
) -> np.ndarray:
    """Put image, cells and legend together."""
    across, down = first.width + _GAP, first.height + _GAP
    left = _GAP + (first.width if beside else max(first.width, key.width))
    left += _GAP
    places = [(first, (_GAP, 0))]
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            if cell is not None:
                places.append((cell, (left + column * across, row * down)))
    right = left + max(map(len, lines)) * across
    places.append((key, (right, _CAPTION) if beside else (_GAP, down)))
    size = (
        right + (key.width + _GAP if beside else 0),
        max(len(lines) * down, (_CAPTION if beside else down) + key.height)
        + _GAP,
    )
    canvas = Image.new('RGB', size, GROUND)
    for picture, place in places:
        canvas.paste(picture, place)
    return np.array(canvas)


def readable_scale(height: int, width: int) -> int:
    """Whole factor that brings an image to a readable size, at least 1."""
    return max(1, round(_READABLE_SIDE / max(height, width)))
