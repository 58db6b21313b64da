"""Id maps as PNG files: the COCO-panoptic encoding of segment ids.

A pixel's segment id is ``R + 256 * G + 65536 * B``; 0 is void. The largest,
if it is no segment's, marks pixels known to show none of the classes.
"""

from collections.abc import Collection
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from .files import atomic_path
from .open_image import UPRIGHT, open_image, orientation

VOID_ID = 0
MAX_ID = 256**3 - 1
BACKGROUND_ID = MAX_ID
NO_SEGMENT_IDS = (VOID_ID, BACKGROUND_ID)


def decode_png(
    path: str | Path, modes: Collection[str], kind: str
) -> np.ndarray:
    """Read a label image whole, or say which file is wrong and how.

    Args:
        path: The file.
        modes: Pillow's names of the pixel layouts that make sense here.
        kind: Kind of file for messages, as 'panoptic PNG'.

    Returns:
        Stored values, palette indices included, (H, W) or (H, W, 3) uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, is damaged or cut short, has
            another mode or an EXIF orientation; the message names the file.
    """
    try:
        content = Path(path).read_bytes()
        # Decoding skips the checksums, a flipped bit would go unseen
        with open_image(BytesIO(content)) as image:
            image.verify()
        with open_image(BytesIO(content)) as image:
            mode, turn = image.mode, orientation(image)
            values = np.asarray(image)
    except FileNotFoundError:
        raise FileNotFoundError(f'no {kind} {path}') from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f'cannot decode {kind} {path}: {error}; write or download it again'
        ) from error
    if mode not in modes:
        raise ValueError(
            f'{kind} {path}: expected image mode {" or ".join(modes)}, got '
            f'{mode}; is it another kind of map?'
        )
    if turn != UPRIGHT:
        raise ValueError(
            f'{kind} {path} has EXIF orientation {turn}; save it without '
            'one, its pixels as they fit the image'
        )
    return values


def decode_panoptic_png(path: str | Path) -> np.ndarray:
    """Read the segment ids of a panoptic PNG.

    Args:
        path: An 8-bit RGB PNG file.

    Returns:
        Segment ids, (H, W) int32, in [0, ``MAX_ID``], 0 is void.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, is damaged or cut short, or is
            not 8-bit RGB; the message names the file.
    """
    rgb = decode_png(path, ('RGB',), 'panoptic PNG')
    ids = rgb[..., 2].astype(np.int32)
    for channel in (1, 0):
        ids <<= 8
        ids |= rgb[..., channel]
    return ids


def encode_panoptic_png(ids: np.ndarray, path: str | Path) -> None:
    """Write segment ids as a panoptic PNG, whole or not at all.

    Args:
        ids: Segment ids, (H, W), any integer type, in [0, ``MAX_ID``].
        path: File to write, in a folder that exists.

    Raises:
        TypeError: If ``ids`` are not integers.
        ValueError: If ``ids`` are not a non-empty map or out of range.
    """
    ids = np.asarray(ids)
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(
            f'segment ids of {path}: expected integers, got {ids.dtype}'
        )
    if ids.ndim != 2 or ids.size == 0:
        raise ValueError(
            f'segment ids of {path}: expected a map (H, W), got shape '
            f'{ids.shape}'
        )
    if ids.min() < VOID_ID or ids.max() > MAX_ID:
        raise ValueError(
            f'segment ids of {path}: expected values in [{VOID_ID}, '
            f'{MAX_ID}], got [{ids.min()}, {ids.max()}]'
        )
    # R, G and B are the three lowest bytes; Pillow keeps a fourth, too
    octets = np.ascontiguousarray(ids, '<i4')
    height, width = ids.shape
    padded = Image.frombuffer(
        'RGBX', (width, height), octets, 'raw', 'RGBX', 0, 1
    )
    with atomic_path(Path(path)) as name:
        padded.convert('RGB').save(name, format='PNG')
