"""Small pictures of category names."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_SIZE = 13
_PADDING = 3
_LINE_GAP = 2
_STAR_SIDE = 11
_OVERSAMPLING = 4
# Text and ground, RGBA.
_SEEN = ((255, 255, 255, 255), (20, 22, 26, 190))
_UNSEEN = ((30, 22, 0, 255), (255, 206, 64, 240))


@lru_cache(maxsize=1024)
def name_tag(text: str, *, is_seen: bool) -> Image.Image:
    """Draw a name: white on dark if seen, a star and dark on gold if not.

    Args:
        text: The name; line breaks are kept.
        is_seen: Whether training had labels of the class.

    Returns:
        RGBA picture, as small as the text allows; shared, do not draw on it.
    """
    ink, ground = _SEEN if is_seen else _UNSEEN
    left, top, right, bottom = _text_box(text)
    indent = _PADDING if is_seen else _PADDING + _STAR_SIDE + _PADDING
    size = (
        indent + right - left + _PADDING,
        max(bottom - top, 0 if is_seen else _STAR_SIDE) + 2 * _PADDING,
    )
    tag = Image.new('RGBA', size)
    pen = ImageDraw.Draw(tag)
    pen.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), 3, fill=ground)
    pen.multiline_text(
        (indent - left, _PADDING - top),
        text,
        fill=ink,
        font=_font(),
        spacing=_LINE_GAP,
    )
    if not is_seen:
        star = Image.new('RGBA', (_STAR_SIDE, _STAR_SIDE), ink)
        place = (_PADDING, (size[1] - _STAR_SIDE) // 2)
        tag.paste(star, place, _star_coverage())
    return tag


def _text_box(text: str) -> tuple[int, int, int, int]:
    """Box of a text drawn at (0, 0); heights do not depend on its letters."""
    pen = ImageDraw.Draw(Image.new('L', (1, 1)))
    left, _, right, _ = pen.multiline_textbbox(
        (0, 0), text, font=_font(), spacing=_LINE_GAP
    )
    like = '\n'.join('Ag' for _ in text.split('\n'))
    _, top, _, bottom = pen.multiline_textbbox(
        (0, 0), like, font=_font(), spacing=_LINE_GAP
    )
    return int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Part of Pillow, so that pictures are the same everywhere.
    return ImageFont.load_default(FONT_SIZE)


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
