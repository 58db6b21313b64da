"""Fonts for names in any alphabet, looked up on this system."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from itertools import groupby

import numpy as np
from mmengine.logging import print_log
from PIL import Image, ImageDraw, ImageFont

FONT_SIZE = 13
_GAP = 4  # between words of different fonts
# Fonts of coloured emoji are pictures of this size.
_PICTURE_SIZE = 109
_UPRIGHT = ('Regular', 'Book', 'Roman', 'Normal', 'Medium')
# Joiners and variants are no signs of their own; spaces need none.
_WITHOUT_SIGN = {*b' \n', 0x200C, 0x200D, *range(0xFE00, 0xFE10)}
# Of fonts that have a box for everything.
_PLACEHOLDERS = ('.', 'LastResort', 'Last Resort', 'Adobe ')


@lru_cache(maxsize=1)
def usual_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of Pillow, so that pictures are the same everywhere."""
    return ImageFont.load_default(FONT_SIZE)


def is_usual(text: str) -> bool:
    """Tell whether :func:`usual_font` has all signs of a text."""
    return text.isascii() or _usual_signs() >= _signs(text)


def can_draw(text: str) -> bool:
    """Tell whether fonts of this system have all signs of a text."""
    return all(
        is_usual(word) or font_path(word) is not None for word in text.split()
    )


@lru_cache(maxsize=4096)
def font_path(text: str) -> str | None:
    """File of an upright font that has all signs of a text.

    matplotlib's own comes first, then those of the system: plain ones, with
    serifs, of fixed width, of coloured pictures. That there is none is
    logged.
    """
    signs = np.array(sorted(_signs(text)), np.uint32)
    for font in _system_fonts():
        if np.isin(signs, font.signs).all() and _load(font.path) is not None:
            return font.path
    if len(text.split()) < 2:  # else its words are looked up
        print_log(
            f'no font of this system has the signs of {text!r}, so pictures '
            'show boxes; install one, for example fonts-noto-core, '
            'fonts-noto-cjk or fonts-noto-color-emoji on Debian',
            'current',
            30,
        )
    return None


def font_families(texts: Iterable[str]) -> list[str]:
    """Families by which matplotlib draws some texts, its own first."""
    from matplotlib.font_manager import FontProperties, fontManager

    words = {word for text in texts for word in text.split()}
    families = ['DejaVu Sans']
    for path in filter(None, map(font_path, sorted(words))):
        # a picture of a size that matplotlib cannot scale
        if _load(path).size != FONT_SIZE:  # type: ignore[union-attr]
            continue
        family = FontProperties(fname=path).get_name()
        if family not in families:
            fontManager.addfont(path)
            families.append(family)
    return families


def draw_line(text: str, ink: tuple[int, ...]) -> Image.Image:
    """Draw a line of text by one font, or one for each run of words.

    Args:
        text: Without line breaks; signs that no font has become boxes.
        ink: RGBA, [0, 255].

    Returns:
        RGBA picture on nothing, its height that of the largest font.
    """
    runs = [_draw_run(*run, ink) for run in _runs(text)]
    above = max(baseline for _, baseline in runs)
    below = max(image.height - baseline for image, baseline in runs)
    width = sum(image.width for image, _ in runs) + _GAP * (len(runs) - 1)
    size = width, above + below
    line = Image.new('RGBA', size, (*ink[:3], 0))
    left = 0
    for image, baseline in runs:
        line.paste(image, (left, above - baseline))
        left += image.width + _GAP
    return line


@dataclass(frozen=True, eq=False)
class _Font:
    path: str
    family: str
    signs: np.ndarray
    is_slanted_or_bold: bool

    @property
    def rank(self) -> tuple:
        name = self.family
        oddities = ('Emoji' in name, 'Mono' in name, 'Serif' in name)
        return self.is_slanted_or_bold, *oddities, self.path


@cache
def _system_fonts() -> list[_Font]:
    from matplotlib.font_manager import findfont, findSystemFonts
    from matplotlib.ft2font import FT2Font

    own = findfont('DejaVu Sans', rebuild_if_missing=False)
    fonts = []
    for path in [own, *findSystemFonts()]:
        try:
            font = FT2Font(path)
            signs = np.fromiter(font.get_charmap(), np.uint32)
        except (OSError, RuntimeError, ValueError):  # damaged, or a bitmap
            continue
        if not font.family_name.startswith(_PLACEHOLDERS):
            odd = font.style_name not in _UPRIGHT
            fonts.append(_Font(path, font.family_name, signs, odd))
    return sorted(fonts, key=lambda font: (font.path != own, font.rank))


@cache
def _usual_signs() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    font = usual_font()
    if not isinstance(font, ImageFont.FreeTypeFont):  # of a bare Pillow
        return frozenset(range(128)) | _WITHOUT_SIGN
    file = font.path if isinstance(font.path, BytesIO) else str(font.path)
    return frozenset(FT2Font(file).get_charmap()) | _WITHOUT_SIGN


def _signs(text: str) -> frozenset[int]:
    return frozenset(map(ord, text)) - _WITHOUT_SIGN


@lru_cache(maxsize=64)
def _load(path: str) -> ImageFont.FreeTypeFont | None:
    for size in (FONT_SIZE, _PICTURE_SIZE):
        try:
            return ImageFont.truetype(path, size)
        except OSError:  # it has no such size
            continue
    return None


def _runs(text: str) -> Iterator[tuple[str, str | None]]:
    """Words in a row that one font draws, with its path (``None``: usual)."""
    path = font_path(text)
    if path is not None:
        yield text, path
        return
    # word by word, so that a score stands beside a name of any alphabet
    words = [
        (word, None if is_usual(word) else font_path(word))
        for word in text.split()
    ]
    for path, group in groupby(words, key=lambda pair: pair[1]):
        yield ' '.join(word for word, _ in group), path


def _draw_run(
    text: str, path: str | None, ink: tuple[int, ...]
) -> tuple[Image.Image, int]:
    """Picture of a run and the row of its baseline."""
    font = (path and _load(path)) or usual_font()
    left, _, right, bottom = font.getbbox(text)
    width = int(np.ceil(max(right, font.getlength(text)) - left))
    above, below = int(bottom), 0
    if isinstance(font, ImageFont.FreeTypeFont):
        above, below = font.getmetrics()
    image = Image.new('RGBA', (width, above + below), (*ink[:3], 0))
    ImageDraw.Draw(image).text(
        (-left, 0), text, fill=ink, font=font, embedded_color=True
    )
    if getattr(font, 'size', FONT_SIZE) == FONT_SIZE:
        return image, above
    image = image.crop(image.getbbox())
    height = round(1.2 * FONT_SIZE)
    width = max(1, round(image.width * height / image.height))
    return image.resize((width, height)), FONT_SIZE
