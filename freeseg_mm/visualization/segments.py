"""Regions drawn over an image."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from freeseg_mm.structures import Vocabulary

from .name_placing import place_names
from .palette import class_colours
from .patterns import PLAIN, class_patterns, inked, mixed, pattern_mask
from .regions import TaskRegions

THING_OUTLINE = (255, 255, 255)
STUFF_OUTLINE = (24, 24, 24)
_THING_WIDTH = 2
_DIMMED = 0.35
# Under a colour the image has little contrast, so that colours stay alike.
_DARKEST = 64
_HATCH = ((56, 56, 56), (84, 84, 84))
_HATCH_WIDTH = 4
_LUMA = np.array([0.299, 0.587, 0.114])


def draw_segments(
    image: np.ndarray,
    task_regions: TaskRegions,
    vocabulary: Vocabulary,
    *,
    scale: int = 1,
    with_names: bool = True,
    patterns: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Paint the regions of one task over a grey copy of an image.

    Things have a white outline, stuff a thin dark one. Classes of like
    colours differ in the pattern of their lines. Ignored pixels are hatched
    in dark grey, other pixels without a region show the image, dimmed.

    Args:
        image: RGB, (H, W, 3), uint8.
        task_regions: What to draw, masks (H, W).
        vocabulary: Names and kinds of the labels.
        scale: The picture is this many times larger than the image.
        with_names: Write names, with scores where there are any, on the
            regions that have room for them.
        patterns: Pattern of each label; ``None`` for those of
            :func:`class_patterns`, which look at this picture alone.

    Returns:
        RGB, (scale * H, scale * W, 3), uint8.

    Raises:
        ValueError: If a mask has not the size of the image, or a label is
            beyond the vocabulary.
    """
    regions = task_regions.regions
    _check(image, task_regions, vocabulary)
    grey = (enlarge_image(image, scale) @ _LUMA)[..., None]
    canvas = np.repeat(_DIMMED * grey, 3, axis=2)
    texture = _DARKEST + (255 - 2 * _DARKEST) / 255 * grey
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
        canvas: What is painted on, RGB, (H, W, 3), [0, 255].
        texture: What shows through, (H, W, 1), [0, 255].
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


def _visible_parts(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What earlier masks leave of each."""
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
