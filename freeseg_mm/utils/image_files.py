"""Images and 8-bit label maps, read with checks and written whole."""

from pathlib import Path

import numpy as np
from PIL import Image

from .files import atomic_path, make_folder
from .open_image import UPRIGHT, open_image, orientation
from .panoptic_png import decode_png

IGNORE_INDEX = 255
_8_BITS = ('L', 'P')
# Pillow's names of grey in 16 bits; 'I' is what it makes of some PNGs
_16_BITS = ('I;16', 'I;16B', 'I;16L', 'I')

_JPEG_END = b'\xff\xd9'
_JPEG_TAIL_BYTES = 1024


def check_image_file(path: Path, size: tuple[int, int]) -> None:
    """Check that an image is there and whole, and that its labels fit it.

    Labels belong to the image as viewers show it. One that they turn is
    refused: nothing says whether its labels were drawn before or after.

    Cheap: reads the header and, of a JPEG, the tail, whose end marker a file
    that was cut short lacks. Only without the marker is the image decoded,
    for some cameras leave it out.

    Args:
        path: The image.
        size: Size in the annotation, (H, W).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded, has an EXIF orientation or
            another size.
    """
    try:
        with open_image(path) as image:
            turn = orientation(image)
            found = (image.height, image.width)
            if image.format != 'JPEG' or not _has_jpeg_end(path):
                image.load()
    except FileNotFoundError:
        raise FileNotFoundError(f'missing file {path}') from None
    except ValueError as error:
        raise ValueError(
            f'cannot decode image {path}: {error}; download it again'
        ) from error
    if turn != UPRIGHT:
        raise ValueError(
            f'image {path} has EXIF orientation {turn}, so programs '
            'disagree about which side is up; save it without one: turned '
            '(PIL.ImageOps.exif_transpose) if its labels fit what viewers '
            'show, as it is if they fit the stored pixels'
        )
    require_size(path, found, size)


def read_label_map(path: Path, kind: str = 'label map') -> np.ndarray:
    """Read an 8-bit label image.

    Args:
        path: A grey or palette PNG; a palette's indices are the labels.
        kind: Kind of file for messages.

    Returns:
        Labels, (H, W) uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded or is not one 8-bit channel.
    """
    return decode_png(path, _8_BITS, kind)


def read_wide_label_map(path: Path, kind: str = 'label map') -> np.ndarray:
    """Read a label image of 8 or 16 bits.

    Args:
        path: A grey or palette PNG, or a TIFF.
        kind: Kind of file for messages.

    Returns:
        Labels, (H, W) uint8 or uint16, as many bits as the file has.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded, is not one channel of 8 or 16
            bits, or has labels beyond 16 bits.
    """
    labels = decode_png(path, (*_8_BITS, *_16_BITS), kind)
    if labels.dtype == np.uint8:
        return labels
    if labels.min() < 0 or labels.max() > np.iinfo(np.uint16).max:
        raise ValueError(
            f'{kind} {path} has values {labels.min()} to {labels.max()}; '
            'expected 16 bits, 0 to 65535'
        )
    return labels.astype(np.uint16)


def read_class_map(path: Path, num_classes: int) -> np.ndarray:
    """Read a semantic PNG of positions in a vocabulary.

    Args:
        path: A grey or palette PNG.
        num_classes: Size of the vocabulary, C.

    Returns:
        Classes, (H, W) uint8, in [0, C) or ``IGNORE_INDEX``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is unusable, holds a class beyond the vocabulary,
            or 8 bits are too few for the vocabulary; it is named.
    """
    if num_classes > IGNORE_INDEX:
        raise ValueError(
            f'semantic PNG {path}: 8 bits cannot tell the {num_classes} '
            f'classes of the vocabulary from {IGNORE_INDEX} (ignored); '
            'leave the semantic PNGs out, the panoptic ones serve'
        )
    classes = read_label_map(path, 'semantic PNG')
    beyond = classes[(classes >= num_classes) & (classes != IGNORE_INDEX)]
    if beyond.size:
        raise ValueError(
            f'semantic PNG {path} holds classes {np.unique(beyond).tolist()}; '
            f'expected 0 to {num_classes - 1}, the positions in the '
            f'vocabulary, or {IGNORE_INDEX} (ignored)'
        )
    return classes


def write_label_map(labels: np.ndarray, path: Path) -> None:
    """Write class indices, (H, W) uint8, as a grey PNG, whole or not."""
    with atomic_path(path) as name:
        Image.fromarray(labels).save(name, format='PNG')


def write_picture(picture: np.ndarray | Image.Image, path: Path) -> None:
    """Write a picture, RGB, whole or not at all; makes the folder.

    Raises:
        ValueError: If the name has an ending that Pillow does not know.
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    make_folder(path.parent)
    with atomic_path(path) as name:
        picture.save(name)


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
