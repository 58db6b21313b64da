"""A figure of several ways to predict an image, as papers print them."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from freeseg_mm.structures import Task, Vocabulary

from .legend import SWATCH, swatch
from .palette import class_colours, class_patterns
from .panel import readable_scale
from .regions import TaskRegions, shrink
from .segments import draw_segments, enlarge_image, hatching, name_tag

INK, UNSEEN_INK = (0, 0, 0), (200, 0, 0)
_PAPER = (255, 255, 255)
_MARGIN, _GAP, _LINE = 14, 10, 28
_TITLE, _NAME, _NOTE = 22, 20, 15  # font sizes


def comparison(
    image: np.ndarray,
    columns: Mapping[str, Mapping[Task, TaskRegions]],
    vocabulary: Vocabulary,
    *,
    max_side: int = 512,
) -> np.ndarray:
    """Draw an image, its regions by several methods, and their classes.

    As the paper's Fig. 3: the image stands at the left, each method is a
    column, each task a row, and the column at the right has the name of each
    class that occurs, in its colour; unseen ones are last, in red.

    Args:
        image: RGB, (H, W, 3), uint8.
        columns: Regions of each task by the name of the method; all have
            the same tasks.
        vocabulary: Classes of the labels.
        max_side: A larger image is shrunk to this longer side in pixels.

    Returns:
        RGB, (H', W', 3), uint8.

    Raises:
        ValueError: If there is nothing to draw, ``max_side`` is not
            positive, and for what :func:`draw_segments` refuses.
    """
    views = {}
    for name, found in columns.items():
        small, views[name] = shrink(image, found, max_side)
    tasks = [task for task in Task if any(task in x for x in views.values())]
    if not tasks:
        raise ValueError('nothing to draw: no method has regions of a task')
    shown = [each[task] for task in tasks for each in views.values()]
    labels = {region.label for each in shown for region in each.regions}
    patterns = class_patterns(labels, vocabulary.names)
    scale = readable_scale(*small.shape[:2])
    rows = {
        task.value: [
            draw_segments(
                small, x[task], vocabulary, scale=scale, patterns=patterns
            )
            for x in views.values()
        ]
        for task in tasks
    }
    is_void = any(x.ignored is not None and x.ignored.any() for x in shown)
    return _arrange(
        enlarge_image(small, scale),
        list(columns),
        rows,
        _key(labels, patterns, vocabulary, is_void=is_void),
    )


def _arrange(
    image: np.ndarray,
    methods: Sequence[str],
    rows: Mapping[str, Sequence[np.ndarray]],
    key: Image.Image,
) -> np.ndarray:
    """Put image, rows and key together, below their titles."""
    height, width = image.shape[:2]
    top = _MARGIN + _LINE
    body = len(rows) * (height + _GAP) - _GAP
    first = _MARGIN + width + _GAP + _LINE  # a row's name stands upright
    last = first + len(methods) * (width + _GAP) + _GAP
    size = (last + key.width + _MARGIN, top + max(body, key.height) + _MARGIN)
    canvas = Image.new('RGB', size, _PAPER)
    pen = ImageDraw.Draw(canvas)
    lefts = [first + i * (width + _GAP) for i in range(len(methods))]
    for left, title in zip(
        [_MARGIN, *lefts], ['Image', *methods], strict=True
    ):
        place = (left + width / 2, _MARGIN)
        pen.text(place, title, INK, _font(_TITLE), 'mt')
    pen.text((last, _MARGIN), 'Classes', INK, _font(_TITLE), 'lt')
    canvas.paste(Image.fromarray(image), (_MARGIN, top))
    for index, (task, pictures) in enumerate(rows.items()):
        down = top + index * (height + _GAP)
        side = Image.new('RGB', (height, _LINE), _PAPER)
        ImageDraw.Draw(side).text(
            (height / 2, _LINE / 2), task, INK, _font(_NAME), 'mm'
        )
        canvas.paste(side.rotate(90, expand=True), (first - _LINE, down))
        for left, picture in zip(lefts, pictures, strict=True):
            canvas.paste(Image.fromarray(picture), (left, down))
    canvas.paste(key, (last, top))
    return np.array(canvas)


def _key(
    labels: Collection[int],
    patterns: Mapping[int, int],
    vocabulary: Vocabulary,
    *,
    is_void: bool,
) -> Image.Image:
    """Names beside their colours, and what red and hatching mean."""
    colours = class_colours(vocabulary.names)
    lines: list[tuple[Image.Image | None, str, tuple, int]] = [
        (
            swatch(colours[i], vocabulary.is_thing[i], patterns[i]),
            vocabulary.names[i],
            INK if vocabulary.is_seen[i] else UNSEEN_INK,
            _NAME,
        )
        for i in sorted(labels, key=lambda i: (not vocabulary.is_seen[i], i))
    ]
    if not lines:
        lines.append((None, 'none found', INK, _NAME))
    if not all(vocabulary.is_seen[i] for i in labels):
        star = name_tag('', is_seen=False)
        lines.append((star, 'unseen in training', UNSEEN_INK, _NOTE))
    if is_void:
        lines.append(
            (Image.fromarray(hatching(*SWATCH)), 'no segment', INK, _NOTE)
        )
    indent = SWATCH[1] + _GAP
    width = max(
        indent * (sign is not None) + _font(size).getlength(text)
        for sign, text, _, size in lines
    )
    canvas = Image.new('RGB', (int(width) + 2, _LINE * len(lines)), _PAPER)
    pen = ImageDraw.Draw(canvas)
    for row, (sign, text, ink, size) in enumerate(lines):
        middle = row * _LINE + _LINE // 2
        if sign is not None:
            place = (SWATCH[1] - sign.width) // 2, middle - sign.height // 2
            canvas.paste(sign, place, sign if sign.mode == 'RGBA' else None)
        left = 0 if sign is None else indent
        pen.text((left, middle), text, ink, _font(size), 'lm')
    return canvas


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
