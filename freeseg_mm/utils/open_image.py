"""Image files, opened as one of a few formats, whatever they claim to be."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

Image.init()  # fills OPEN
FORMATS = tuple(
    name
    for name in (
        'AVIF', 'BMP', 'GIF', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP',
    )
    if name in Image.OPEN
)  # fmt: skip
"""Formats that are read, by Pillow's names.

Its others run programs (EPS, by Ghostscript, whatever the file is called),
or are rarely used and little tested.
"""
UPRIGHT = 1
_TURNS = range(2, 9)
_HEAD_BYTES = 16
# formats that have no pixels of more than 16 bits
_AT_MOST_16_BITS = ('PNG', 'PPM')


@contextmanager
def open_image(file: str | Path | BytesIO) -> Iterator[Image.Image]:
    """Open an image, to be used inside of the block.

    Pillow's readers report damage by any exception; so whatever is raised in
    the block becomes one kind of error.

    Args:
        file: A path, or the content of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: Saying what is wrong; the caller knows the image's name.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            yield image
    except FileNotFoundError:
        raise
    except Image.UnidentifiedImageError as error:
        raise ValueError(
            f'cannot identify it; it begins with {_head(file)!r}, expected '
            f'one of {", ".join(FORMATS)}'
        ) from error
    except Exception as error:  # see above
        raise ValueError(str(error) or type(error).__name__) from error


def read_rgb(path: str | Path) -> np.ndarray:
    """Read an image as RGB, (H, W, 3) uint8, upright.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or has more than 16 bits; the file
            is named.
    """
    try:
        with open_image(path) as image:
            return upright_rgb(image)
    except ValueError as error:
        raise ValueError(f'cannot read image {path}: {error}') from error


def upright_rgb(image: Image.Image) -> np.ndarray:
    """Pixels as RGB, (H, W, 3) uint8, upright; 16 bits are brought to 8.

    Raises:
        ValueError: If they have 32 bits or are fractions.
    """
    require_whole_bytes(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):  # which Pillow would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert('RGB'))


def orientation(image: Image.Image) -> int:
    """Turn that viewers give an image, by its EXIF data.

    To be called before the pixels are loaded: Pillow turns TIFF files then.

    Returns:
        2 to 8, or ``UPRIGHT`` if it stays as it is, whatever its data say.

    Raises:
        ValueError: If OpenCV would turn it and Pillow would not.
    """
    value = image.getexif().get(ExifTags.Base.Orientation)
    if isinstance(value, bytes) and value and value[0] in _TURNS:
        raise ValueError(
            f'its EXIF orientation is {value!r}, bytes in place of a number, '
            'so programs disagree about which side is up; save it without one'
        )
    if isinstance(value, int) and value in _TURNS:
        return int(value)
    return UPRIGHT


def require_whole_bytes(image: Image.Image) -> None:
    """Refuse pixels whose range nobody knows; others clip them.

    Raises:
        ValueError: If they have 32 bits or are fractions.
    """
    is_wide = image.mode == 'I' and image.format not in _AT_MOST_16_BITS
    if is_wide or image.mode in ('F', 'I;32', 'I;32B'):
        raise ValueError(
            f'its pixels are 32-bit numbers (mode {image.mode}), whose black '
            'and white nobody knows; bring them to 8 or 16 bits first'
        )


def has_16_bits(image: Image.Image) -> bool:
    """Tell whether pixels of a file, not loaded yet, have more than 8 bits.

    Pillow brings colours of 16 bits to 8 without a word.
    """
    if image.mode.startswith('I'):
        return True
    for *_, args in getattr(image, 'tile', ()):
        raw, *more = args if isinstance(args, tuple) else (args,)
        if ';16' in str(raw) or (image.format == 'PPM' and more > [255]):
            return True
    return False


def _head(file: str | Path | BytesIO) -> bytes:
    if isinstance(file, BytesIO):
        return file.getvalue()[:_HEAD_BYTES]
    with open(file, 'rb') as opened:
        return opened.read(_HEAD_BYTES)
