"""One picture of all that is known and answered about an image."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from freeseg_mm.structures import Task, Vocabulary

from .legend import GROUND, legend
from .name_tag import name_tag
from .regions import TaskRegions
from .segments import draw_segments, enlarge_image

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
    """Draw an image beside the regions of each task, a row for each source.

    The image stands at the top left, the legend of all classes that occur
    below it.

    Args:
        image: RGB, (H, W, 3), uint8.
        rows: What to draw by title, as ``{'truth': truth_regions(...),
            'prediction': prediction_regions(...)}``. A column is drawn for
            each task that occurs.
        vocabulary: What the labels refer to.
        scale: Enlargement; chosen by the image's size if not given.
        title: What stands over the image.

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
    height, width = (scale * side for side in image.shape[:2])
    labels = {
        region.label
        for row in rows.values()
        for task_regions in row.values()
        for region in task_regions.regions
    }
    key = legend(labels, vocabulary, width=width).picture
    first_column = max(width, key.shape[1])
    row_height = _CAPTION + height + _GAP
    canvas = Image.new(
        'RGB',
        (
            _GAP + first_column + _GAP + len(tasks) * (width + _GAP),
            max(
                len(rows) * row_height,
                row_height + key.shape[0],
            )
            + _GAP,
        ),
        GROUND,
    )
    _put(canvas, enlarge_image(image, scale), (_GAP, 0), title)
    canvas.paste(Image.fromarray(key), (_GAP, row_height))
    for row, (title, views) in enumerate(rows.items()):
        for column, task in enumerate(tasks):
            if task not in views:
                continue
            left = 2 * _GAP + first_column + column * (width + _GAP)
            cell = draw_segments(image, views[task], vocabulary, scale=scale)
            caption = f'{task.value}: {title}'
            _put(canvas, cell, (left, row * row_height), caption)
    return np.array(canvas)


def readable_scale(height: int, width: int) -> int:
    """Whole factor that brings an image to a readable size, at least 1."""
    return max(1, round(_READABLE_SIDE / max(height, width)))


def _put(
    canvas: Image.Image,
    cell: np.ndarray,
    place: tuple[int, int],
    caption: str,
) -> None:
    """Paste a cell with its caption above; the place is (left, top)."""
    left, top = place
    tag = name_tag(caption, is_seen=True)
    canvas.paste(tag, (left, top + (_CAPTION - tag.height) // 2), tag)
    canvas.paste(Image.fromarray(cell), (left, top + _CAPTION))
