"""Regions drawn over an image, with the names of their classes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageDraw

from freeseg_mm.structures import Vocabulary

from .fonts import draw_line, is_usual, usual_font
from .palette import (
    LUMA,
    PLAIN,
    class_colours,
    class_patterns,
    inked,
    mixed,
    pattern_mask,
)
from .regions import Region, TaskRegions

THING_OUTLINE = (255, 255, 255)
STUFF_OUTLINE = (24, 24, 24)
_THING_WIDTH = 2
_DIMMED = 0.5
_HATCH = ((56, 56, 56), (84, 84, 84))
_HATCH_WIDTH = 4

_PADDING = 3
_LINE_GAP = 2
_STAR_SIDE = 11
_OVERSAMPLING = 4
# Text and ground of name tags, RGBA.
_SEEN = ((255, 255, 255, 255), (20, 22, 26, 190))
_UNSEEN = ((30, 22, 0, 255), (255, 206, 64, 240))
# A tag may stick out of its region by the rest.
_LEAST_COVERAGE = 0.8
# It hides no more of it than this share, else it stands beside,
_HIDDEN = 0.4
# unless the region is smaller than this share of the tag.
_SPECK = 0.125
# Farther away, in pixels, it would not be seen to belong to it.
_REACH = 16
_LEADER = (255, 255, 255)


def draw_segments(
    image: np.ndarray,
    task_regions: TaskRegions,
    vocabulary: Vocabulary,
    *,
    scale: int = 1,
    with_names: bool = True,
    patterns: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Lay the colours of one task's regions over an image.

    Under a colour the image is grey, so that colours stay alike. Things have
    a white outline, stuff a thin dark one. Classes of like colours differ in
    the pattern of their lines. Ignored pixels are hatched in dark grey, other
    pixels without a region show the image, dimmed.

    Args:
        image: RGB, (H, W, 3), uint8.
        task_regions: Regions with masks (H, W).
        vocabulary: Names and kinds of the labels.
        scale: The picture is this many times larger than the image.
        with_names: Write names, with scores where there are any, on the
            regions or, where they would hide them, beside.
        patterns: Pattern of each label; ``None`` for those of
            :func:`class_patterns` for this picture alone.

    Returns:
        RGB, (scale * H, scale * W, 3), uint8.

    Raises:
        ValueError: If a mask has not the size of the image, or a label is
            beyond the vocabulary.
    """
    regions = task_regions.regions
    _check(image, task_regions, vocabulary)
    enlarged = enlarge_image(image, scale)
    canvas = _DIMMED * enlarged
    texture = (enlarged @ LUMA)[..., None]
    labels = {region.label for region in regions}
    if patterns is None:
        patterns = class_patterns(labels, vocabulary.names)
    colours = class_colours(vocabulary.names)
    masks = [_enlarge_mask(region.mask, scale) for region in regions]
    visible = _visible_parts(masks)
    for region, mask, part in zip(regions, masks, visible, strict=True):
        paint(
            canvas,
            texture,
            part,
            colours[region.label],
            patterns[region.label],
        )
        is_thing = vocabulary.is_thing[region.label]
        width = _THING_WIDTH if is_thing else 1
        outline = _rim(mask, width) & part
        canvas[outline] = THING_OUTLINE if is_thing else STUFF_OUTLINE
    if task_regions.ignored is not None:
        ignored = _enlarge_mask(task_regions.ignored, scale)
        ignored &= ~np.any([np.zeros_like(ignored), *masks], axis=0)
        canvas[ignored] = hatching(*canvas.shape[:2])[ignored]
    picture = np.rint(canvas).astype(np.uint8)
    if with_names:
        picture = place_names(picture, regions, visible, vocabulary)
    return picture


def paint(
    canvas: np.ndarray,
    texture: np.ndarray,
    part: np.ndarray,
    colour: np.ndarray,
    pattern: int,
) -> None:
    """Give a part of a picture a colour and a pattern of lines.

    Args:
        canvas: Painted in place, RGB, (H, W, 3), [0, 255].
        texture: Brightness that shows through, (H, W, 1), [0, 255].
        part: The pixels, (H, W), bool.
        colour: RGB, (3,), [0, 255].
        pattern: See :func:`pattern_mask`.
    """
    canvas[part] = mixed(colour, texture[part])
    if pattern != PLAIN:
        lines = part & pattern_mask(pattern, *part.shape)
        canvas[lines] = mixed(inked(colour), texture[lines])


def enlarge_image(image: np.ndarray, scale: int) -> np.ndarray:
    """Smoothly enlarged image, (scale * H, scale * W, 3) uint8."""
    height, width = image.shape[:2]
    size = (scale * width, scale * height)
    resized = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized)


def hatching(height: int, width: int) -> np.ndarray:
    """The pattern of ignored pixels, (height, width, 3) uint8."""
    diagonal = np.arange(height)[:, None] + np.arange(width)
    return np.array(_HATCH, np.uint8)[diagonal // _HATCH_WIDTH % 2]


def place_names(
    picture: np.ndarray,
    regions: Sequence[Region],
    visible: Sequence[np.ndarray],
    vocabulary: Vocabulary,
) -> np.ndarray:
    """Write a tag for each region: on it, or beside it if it is small.

    Args:
        picture: RGB, (H, W, 3), uint8.
        regions: The most important first.
        visible: The pixels of each that can be seen, (H, W), bool.
        vocabulary: Names of the labels.

    Returns:
        The picture with tags, which do not overlap. A line leads from a tag
        to what it stands beside.
    """
    canvas = Image.fromarray(picture)
    taken = np.zeros(picture.shape[:2], dtype=bool)
    beside = []
    for region, mask in zip(regions, visible, strict=True):
        tags = [
            name_tag(text, is_seen=vocabulary.is_seen[region.label])
            for text in _wordings(vocabulary.names[region.label], region)
        ]
        area = mask.sum()
        on = [x for x in tags if x.width * x.height <= _HIDDEN * area]
        if _paste_first(canvas, on, taken, partial(find_place, mask)) is None:
            small = [x for x in tags if area >= _SPECK * x.width * x.height]
            beside.append((mask, small))
    for mask, _ in beside:
        taken |= mask
    pen = ImageDraw.Draw(canvas)
    for mask, tags in beside:
        where = partial(find_place_beside, mask)
        box = _paste_first(canvas, tags, taken, where)
        if box is not None:
            pen.line(_leader(mask, box), fill=_LEADER)
    return np.array(canvas)


def find_place(
    mask: np.ndarray, taken: np.ndarray, size: tuple[int, int]
) -> tuple[int, int] | None:
    """Best place of a box on a mask: covered most, then most central.

    Args:
        mask: (H, W), bool.
        taken: Pixels the box must not touch, (H, W), bool.
        size: Height and width of the box.

    Returns:
        Top and left of the box, ``None`` if there is no room.
    """
    height, width = size
    if height > mask.shape[0] or width > mask.shape[1]:
        return None
    covered = _window_sums(mask, size)
    free = _window_sums(taken, size) == 0
    usable = free & (covered >= _LEAST_COVERAGE * height * width)
    if not usable.any():
        return None
    best = usable & (covered == covered[usable].max())
    rows, columns = np.nonzero(mask)
    tops, lefts = np.nonzero(best)
    distance = (tops + (height - 1) / 2 - rows.mean()) ** 2 + (
        lefts + (width - 1) / 2 - columns.mean()
    ) ** 2
    nearest = distance.argmin()
    return int(tops[nearest]), int(lefts[nearest])


def find_place_beside(
    mask: np.ndarray, taken: np.ndarray, size: tuple[int, int]
) -> tuple[int, int] | None:
    """Place of a box beside a mask: nearest to its edges, then to its middle.

    Args:
        mask: (H, W), bool, not empty.
        taken: Pixels the box must not touch, (H, W), bool; with the mask's.
        size: Height and width of the box.

    Returns:
        Top and left of the box, ``None`` if there is no room near by.
    """
    if any(box > side for box, side in zip(size, mask.shape, strict=True)):
        return None
    corners = np.nonzero(_window_sums(taken, size) == 0)
    if not corners[0].size:
        return None
    gaps, distances = np.zeros((2, corners[0].size))
    for starts, length, pixels in zip(
        corners, size, np.nonzero(mask), strict=True
    ):
        before = pixels.min() - starts - length
        after = starts - pixels.max() - 1
        gaps += np.maximum(np.maximum(before, after), 0) ** 2
        distances += (starts + (length - 1) / 2 - pixels.mean()) ** 2
    nearest = np.lexsort((distances, gaps))[0]
    if gaps[nearest] > _REACH**2:
        return None
    return int(corners[0][nearest]), int(corners[1][nearest])


@lru_cache(maxsize=128)
def name_tag(text: str, *, is_seen: bool) -> Image.Image:
    """Draw a name: white on dark if seen, a star and dark on gold if not.

    Args:
        text: The name; line breaks are kept. Its font is Pillow's or, for
            signs that this lacks, one of the system.
        is_seen: Whether training had labels of the class.

    Returns:
        RGBA picture, as small as the text allows; shared, do not draw on it.
    """
    ink, ground = _SEEN if is_seen else _UNSEEN
    foreign = None if is_usual(text) else _draw_lines(text, ink)
    left, top, right, bottom = (
        (0, 0, *foreign.size) if foreign else _text_box(text)
    )
    indent = _PADDING if is_seen else _PADDING + _STAR_SIDE + _PADDING
    size = (
        indent + right - left + _PADDING,
        max(bottom - top, 0 if is_seen else _STAR_SIDE) + 2 * _PADDING,
    )
    tag = Image.new('RGBA', size)
    pen = ImageDraw.Draw(tag)
    pen.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), 3, fill=ground)
    if foreign is not None:
        tag.alpha_composite(foreign, (indent, _PADDING))
    else:
        pen.multiline_text(
            (indent - left, _PADDING - top),
            text,
            fill=ink,
            font=usual_font(),
            spacing=_LINE_GAP,
        )
    if not is_seen:
        star = Image.new('RGBA', (_STAR_SIDE, _STAR_SIDE), ink)
        place = (_PADDING, (size[1] - _STAR_SIDE) // 2)
        tag.paste(star, place, _star_coverage())
    return tag


def _check(
    image: np.ndarray, task_regions: TaskRegions, vocabulary: Vocabulary
) -> None:
    size = image.shape[:2]
    masks = {f'region {i}': r.mask for i, r in enumerate(task_regions.regions)}
    if task_regions.ignored is not None:
        masks['the ignored part'] = task_regions.ignored
    for what, mask in masks.items():
        if mask.shape != size:
            raise ValueError(
                f'{what} has a mask of size {mask.shape} (H, W), the image '
                f'{size}; both must be at the original resolution'
            )
    for index, region in enumerate(task_regions.regions):
        if not 0 <= region.label < len(vocabulary):
            raise ValueError(
                f'region {index} has label {region.label}, vocabulary '
                f'{vocabulary.name!r} has {len(vocabulary)} classes; pass '
                'the vocabulary that the labels refer to'
            )


def _paste_first(
    canvas: Image.Image,
    tags: Sequence[Image.Image],
    taken: np.ndarray,
    find: Callable[[np.ndarray, tuple[int, int]], tuple[int, int] | None],
) -> tuple[slice, slice] | None:
    """Draw the first tag that has a place; mark and return its box."""
    for tag in tags:
        place = find(taken, (tag.height, tag.width))
        if place is not None:
            top, left = place
            canvas.paste(tag, (left, top), tag)
            box = np.s_[top : top + tag.height, left : left + tag.width]
            taken[box] = True
            return box
    return None


def _leader(
    mask: np.ndarray, box: tuple[slice, slice]
) -> list[tuple[int, int]]:
    """Ends of the line from a box to the nearest pixel of a mask, (x, y)."""
    pixels = np.stack(np.nonzero(mask), axis=1)
    first = [side.start for side in box]
    last = [side.stop - 1 for side in box]
    ends = pixels.clip(first, last)
    nearest = ((pixels - ends) ** 2).sum(1).argmin()
    return [
        tuple(end[::-1].tolist()) for end in (ends[nearest], pixels[nearest])
    ]


def _visible_parts(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Parts of the masks that no earlier one covers."""
    parts: list[np.ndarray] = []
    taken = None
    for mask in masks:
        parts.append(mask if taken is None else mask & ~taken)
        taken = mask if taken is None else mask | taken
    return parts


def _enlarge_mask(mask: np.ndarray, scale: int) -> np.ndarray:
    return mask.repeat(scale, axis=0).repeat(scale, axis=1)


def _rim(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a mask at most ``width`` from its edge; the frame is none."""
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1, mode='edge')
        inner = (
            inner
            & padded[:-2, 1:-1]
            & padded[2:, 1:-1]
            & padded[1:-1, :-2]
            & padded[1:-1, 2:]
        )
    return mask & ~inner


def _wordings(name: str, region: Region) -> Iterator[str]:
    """Texts of a tag, from the most telling to the smallest."""
    if region.track is not None:
        name = f'{name} #{region.track}'
    if region.score is not None:
        yield f'{name} {region.score:.0%}'
    yield name
    if ' ' in name:
        yield name.replace(' ', '\n')


def _window_sums(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sum over the box that begins at each pixel where it fits."""
    height, width = size
    total = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )


def _text_box(text: str) -> tuple[int, int, int, int]:
    """Box of a text drawn at (0, 0); heights do not depend on its letters."""
    pen = ImageDraw.Draw(Image.new('L', (1, 1)))
    left, _, right, _ = pen.multiline_textbbox(
        (0, 0), text, font=usual_font(), spacing=_LINE_GAP
    )
    like = '\n'.join('Ag' for _ in text.split('\n'))
    _, top, _, bottom = pen.multiline_textbbox(
        (0, 0), like, font=usual_font(), spacing=_LINE_GAP
    )
    return int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))


def _draw_lines(text: str, ink: tuple[int, ...]) -> Image.Image:
    lines = [draw_line(line, ink) for line in text.split('\n')]
    height = sum(line.height for line in lines) + _LINE_GAP * (len(lines) - 1)
    size = max(line.width for line in lines), height
    picture = Image.new('RGBA', size, (*ink[:3], 0))
    top = 0
    for line in lines:
        picture.paste(line, (0, top))
        top += line.height + _LINE_GAP
    return picture


@lru_cache(maxsize=1)
def _star_coverage() -> Image.Image:
    """Five-pointed star, (side, side), 0 to 255."""
    side = _STAR_SIDE * _OVERSAMPLING
    angles = np.pi * np.arange(10) / 5
    radii = np.where(np.arange(10) % 2, 0.42, 1.0) * side / 2
    points = side / 2 + np.stack(
        [radii * np.sin(angles), -radii * np.cos(angles)], axis=1
    )
    star = Image.new('L', (side, side))
    ImageDraw.Draw(star).polygon([tuple(xy) for xy in points], fill=255)
    return star.reduce(_OVERSAMPLING)
