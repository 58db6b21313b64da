"""Reading and writing the image files a preparation works on."""

from pathlib import Path

import numpy as np
from PIL import Image

from .files import atomic_path

IGNORE_INDEX = 255

_JPEG_END = b'\xff\xd9'
_JPEG_TAIL_BYTES = 1024


def check_image_file(path: Path, size: tuple[int, int]) -> None:
    """Check that an image is there, whole and as large as its annotation.

    Cheap: reads the header and, of a JPEG, the tail, whose end marker a file
    that was cut short lacks. Only without the marker is the image decoded,
    for some cameras leave it out.

    Args:
        path: The image.
        size: Size in the annotation, (H, W).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded or has another size.
    """
    try:
        with Image.open(path) as image:
            found = (image.height, image.width)
            if image.format != 'JPEG' or not _has_jpeg_end(path):
                image.load()
    except FileNotFoundError:
        raise FileNotFoundError(f'missing file {path}') from None
    # Pillow reports damage as any of these
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f'cannot decode image {path}: {error}; download it again'
        ) from error
    require_size(path, found, size)


def read_label_map(path: Path) -> np.ndarray:
    """Read an 8-bit label image.

    Args:
        path: A grey or palette PNG; a palette's indices are the labels.

    Returns:
        Labels, (H, W) uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded or is not one 8-bit channel.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            labels = np.array(image)
    except FileNotFoundError:
        raise FileNotFoundError(f'missing file {path}') from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f'cannot decode label map {path}: {error}; unpack or download it '
            'again'
        ) from error
    if mode not in ('L', 'P'):
        raise ValueError(
            f'label map {path}: expected one 8-bit channel, got mode {mode!r}'
        )
    return labels


def write_label_map(labels: np.ndarray, path: Path) -> None:
    """Write class indices, (H, W) uint8, as a grey PNG, whole or not."""
    with atomic_path(path) as name:
        Image.fromarray(labels).save(name, format='PNG')


def require_size(
    path: Path, found: tuple[int, int], expected: tuple[int, int]
) -> None:
    """Raise ValueError if a file's (H, W) is not its annotation's."""
    if tuple(found) != tuple(expected):
        raise ValueError(
            f'{path}: size (H, W) is {tuple(found)} but its annotation says '
            f'{tuple(expected)}; the files do not belong together'
        )


def _has_jpeg_end(path: Path) -> bool:
    with open(path, 'rb') as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _JPEG_TAIL_BYTES))
        return _JPEG_END in file.read()
