"""From paths, arrays, folders, lists and URLs to images; and masks."""

import glob
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import mmcv
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from freeseg_mm.utils.coco_masks import run_length_code
from freeseg_mm.utils.fetch import fetch
from freeseg_mm.utils.files import naming_errors
from freeseg_mm.utils.names import require_visible
from freeseg_mm.utils.open_image import (
    UPRIGHT,
    has_16_bits,
    open_image,
    orientation,
    require_whole_bytes,
    upright_rgb,
)

OneImage: TypeAlias = str | Path | np.ndarray | Image.Image
Images: TypeAlias = OneImage | Iterable[OneImage]
Masks: TypeAlias = np.ndarray | Iterable[np.ndarray | dict | list]

EXTENSIONS = (
    '.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff',
    '.webp',
)  # fmt: skip
"""Endings of the files that are read from a folder."""

CHANNEL_ORDERS = ('bgr', 'rgb')
LIST_EXTENSION = '.txt'
"""Ending of a file that lists images, one a line."""

_LONGEST_NAME = 255
_LONGEST_PATH = 4096
# Pillow refuses images of so many pixels, at four bytes each.
_MOST_BYTES = 4 * 2 * (Image.MAX_IMAGE_PIXELS or 2**28)

_JPEG_END = b'\xff\xd9'
_JPEG_TAIL_BYTES = 1024


class Entries(list[OneImage]):
    """Result of :func:`list_images`, or a share of it: final as it is."""


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image as the network's pipeline takes it.

    Attributes:
        source: Path or URL, or ``array 3`` for the fourth input; of an
            archive's image ``shards/1.tar/dog.jpg``.
        pixels: BGR, (H, W, 3), uint8.
        notes: What was done to it that a user may want to know.
        frame: Its number in a video, from 0.
        seconds: When it is shown, by the video's frame rate.
        member: Its name in an archive.
        place: Number of its input, and its own within a video or an
            archive, both from 0.
    """

    source: str
    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    frame: int | None = None
    seconds: float | None = None
    member: str | None = None
    place: tuple[int, int] = (0, 0)


def list_images(images: Images) -> Entries:
    """Spell out folders, lists and patterns; no image is opened.

    Args:
        images: One or several files, images, videos or archives
            (``.tar``); URLs; ``webcam`` or ``webcam:1``, a camera of this
            machine; folders (their images, by name, without videos, archives
            and subfolders); lists (``.txt``, a file or URL a line, read from
            the working folder); patterns with ``*``, ``?`` or ``[``; arrays
            or Pillow images. Entries are given back.

    Returns:
        One entry an image, video or archive, in the order given.

    Raises:
        FileNotFoundError: If a file, folder or anything a pattern could mean
            is missing; what a list names is looked for when it is read.
        TypeError: If an entry is none of these.
        ValueError: If there is nothing, a folder holds no image, or a list
            no name, or one that nobody can read.
    """
    if isinstance(images, Entries):
        return images
    if isinstance(images, str | Path | np.ndarray | Image.Image):
        images = [images]
    entries = Entries(x for entry in images for x in _spell_out(entry))
    if not entries:
        raise ValueError('no images: the list is empty')
    return entries


def camera_number(entry: OneImage) -> int | None:
    """Number of the camera of this machine that an entry names.

    ``webcam`` is camera 0, ``webcam:1`` camera 1, unless there is a file of
    that name; ``None`` for anything else.
    """
    if not isinstance(entry, str):
        return None
    found = re.fullmatch(r'webcam(?::(\d{1,2}))?', entry)
    return int(found[1] or 0) if found and not Path(entry).exists() else None


def source_name(entry: OneImage, index: int) -> str:
    """Name an entry of :func:`list_images` in messages."""
    return str(entry) if isinstance(entry, str | Path) else f'array {index}'


def read_image(
    entry: OneImage, index: int = 0, channel_order: str = 'bgr'
) -> InputImage:
    """Read one image.

    Files are decoded as mmdet's pipelines do, and refused where a decoder
    would make up for damage.

    Args:
        entry: Of :func:`list_images`. Arrays are (H, W, 3), or grey, (H, W);
            uint8, or uint16 over its whole range. A fourth channel is
            dropped.
        index: Its place among the inputs, for messages.
        channel_order: Of arrays, ``bgr`` as in OpenCV and mmdet, or ``rgb``.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If an array holds other numbers.
        ValueError: If it is no image or damaged; the message names it.
    """
    source = source_name(entry, index)
    if isinstance(entry, np.ndarray):
        pixels = _from_array(entry, source)
        if channel_order == 'rgb':
            pixels = np.ascontiguousarray(pixels[..., ::-1])
        return InputImage(source, pixels)
    if isinstance(entry, Image.Image):
        try:
            return InputImage(source, _from_pillow(entry))
        # it may be a file that was opened and not read yet
        except Exception as error:
            raise ValueError(f'{source}: {error}') from error
    _require_one(entry)
    return decode_image(_read_bytes(str(entry)), source)


def read_masks(masks: Masks, size: tuple[int, int]) -> np.ndarray:
    """Read masks that come from elsewhere.

    Args:
        masks: (N, H, W) of bool, or of 0 and 1; or a list of (H, W) such
            arrays and of COCO's segmentations, which are run-length codes
            (compressed or not) or lists of polygons.
        size: Of the image, (H, W).

    Returns:
        (N, H, W), bool.

    Raises:
        TypeError: If an entry is none of these, or holds other numbers.
        ValueError: If there is none, or one is empty or of another size; it
            is numbered, from 0.
    """
    if isinstance(masks, str | bytes | dict) or not np.iterable(masks):
        raise TypeError(
            'expected masks as an array (N, H, W) or a list of (H, W) arrays '
            f"or COCO's segmentations, got {type(masks).__name__}"
        )
    found = [_mask(each, i, size) for i, each in enumerate(masks)]
    if not found:
        raise ValueError('expected at least one mask, got none')
    for index, mask in enumerate(found):
        if not mask.any():
            raise ValueError(f'mask {index} is empty')
    return np.stack(found)


def _mask(entry: Any, index: int, size: tuple[int, int]) -> np.ndarray:
    if isinstance(entry, dict | list):
        try:
            code = run_length_code(entry, size)
        except ValueError as error:
            raise ValueError(f'mask {index}: {error}') from error
        return coco_mask.decode(code).astype(bool)
    mask = np.asarray(entry)
    if mask.dtype != bool and (
        mask.dtype.kind not in 'iuf' or not np.isin(mask, (0, 1)).all()
    ):
        raise TypeError(
            f'mask {index}: expected bool, or 0 and 1 alone, got '
            f'{mask.dtype}; compare probabilities with a threshold first'
        )
    if mask.shape != size:
        raise ValueError(
            f'mask {index} has the shape {mask.shape}, the image {size}'
        )
    return mask.astype(bool)


def check_channel_order(channel_order: str) -> None:
    """Refuse an unknown order of an array's channels.

    Raises:
        ValueError: If it is neither ``bgr`` nor ``rgb``.
    """
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(
            f'channel_order: expected one of {CHANNEL_ORDERS}, got '
            f'{channel_order!r}'
        )


def _spell_out(entry: OneImage) -> Sequence[OneImage]:
    if isinstance(entry, np.ndarray | Image.Image):
        return [entry]
    _require_one(entry)
    if is_remote(str(entry)) or camera_number(entry) is not None:
        return [str(entry)]
    path = _short(local_path(str(entry)))
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() == LIST_EXTENSION and path.is_file():
        return _of_list(path)
    if path.exists():
        return [str(entry)]
    if glob.has_magic(str(path)):
        found = sorted(glob.glob(str(path), recursive=True))
        files = [name for name in found if Path(name).is_file()]
        if not files:
            raise FileNotFoundError(f'no file matches {entry}')
        return files
    raise FileNotFoundError(f'no such file or folder: {entry}')


def _require_one(entry: object) -> None:
    if not isinstance(entry, str | Path):
        raise TypeError(
            'expected images as paths, URLs, folders, patterns, numpy arrays '
            f'or Pillow images, got {type(entry).__name__}'
        )


def _short(path: Path) -> Path:
    """A path that a disk may have."""
    name = str(path)
    if len(os.fsencode(name)) >= _LONGEST_PATH or (
        max(map(len, map(os.fsencode, path.parts)), default=0) > _LONGEST_NAME
    ):
        # of data: URLs, too
        raise FileNotFoundError(
            f'no such file or folder: {name[:80]!r}..., a name of '
            f'{len(name):,} letters'
        )
    return path


def _of_folder(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        files = [entry.name for entry in entries if entry.is_file()]
    images = sorted(
        name for name in files if Path(name).suffix.lower() in EXTENSIONS
    )
    if not images:
        raise ValueError(
            f'no images in the folder {folder}: of its {len(files)} files '
            f'none ends in {", ".join(EXTENSIONS)} (subfolders are not read; '
            f"give '{folder}/**/*.jpg' for them)"
        )
    return [str(folder / name) for name in images]


def _of_list(path: Path) -> list[str]:
    with naming_errors(path):  # UnicodeDecodeError is a ValueError
        lines = path.read_text('utf-8-sig').splitlines()
        names = [line.strip() for line in lines if line.strip()]
        for name in names:
            require_visible(name)
    if not names:
        raise ValueError(f'{path}: no file is listed; give one a line')
    return names


def is_remote(name: str) -> bool:
    """Tell a URL that is not of this machine from a path."""
    return '://' in name and not name.startswith('file://')


def local_path(name: str) -> Path:
    """The path that a name or a ``file://`` URL stands for.

    Raises:
        ValueError: If the URL is of another machine.
    """
    if name.startswith('file://'):
        parts = urlsplit(name)
        if parts.netloc not in ('', 'localhost'):
            raise ValueError(
                f'{name}: {parts.netloc} is another machine; a file here is '
                'file:///PATH'
            )
        return Path(unquote(parts.path))
    return Path(name)


def input_file(name: str) -> Path:
    """The file here that a name or a ``file://`` URL stands for.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its name has what nobody sees, or it cannot be read
            to an end.
    """
    path = _short(local_path(name))
    require_visible(path.name)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f'no such file: {name}') from None
    except OSError as error:
        raise ValueError(f'cannot read {name}: {error.strerror}') from error
    if not stat.S_ISREG(mode):
        kind = next((x for is_it, x in _ENDLESS if is_it(mode)), 'a folder')
        raise ValueError(f'{name} is {kind}, expected a file')
    return path


_ENDLESS = (
    (stat.S_ISCHR, 'a device, which may have no end'),
    (stat.S_ISBLK, 'a device, which may have no end'),
    (stat.S_ISFIFO, 'a pipe, which may have no end'),
    (stat.S_ISSOCK, 'a socket, which may have no end'),
)


def _read_bytes(name: str) -> bytes:
    if is_remote(name):
        content = BytesIO()
        fetch(name, content)
        return content.getvalue()
    path = input_file(name)
    size = path.stat().st_size
    # what a system makes up, as /proc/kmsg, has none either
    if not size:
        raise ValueError(f'{name} is empty, expected an image')
    if size > _MOST_BYTES:
        raise ValueError(
            f'{name} has {size:,} bytes, more than the {_MOST_BYTES:,} of '
            'the largest image'
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f'cannot read {name}: {error.strerror}') from error


def decode_image(content: bytes, source: str) -> InputImage:
    """Decode the content of a file, see :func:`read_image`.

    Args:
        content: The file.
        source: Its name, for messages.

    Raises:
        ValueError: If it is no image or damaged; the message names it.
    """
    try:
        with open_image(BytesIO(content)) as image:
            require_whole_bytes(image)
            is_wide = has_16_bits(image)  # nobody knows once it is loaded
            turn = orientation(image)
            notes = _notes(image, turn, is_wide)
            # OpenCV fills up a JPEG that was cut short, Pillow does not.
            # Whether one is whole its last bytes tell, mostly.
            whole = image.format == 'JPEG' and (
                _JPEG_END in content[-_JPEG_TAIL_BYTES:]
            )
            if not whole:
                image.load()
            # OpenCV turns some formats only, and knows one less; it leaves
            # the white of a PPM as dark as its number
            if image.format in ('GIF', 'PPM') or turn != UPRIGHT:
                pixels = _from_pillow(image)
            else:
                pixels = mmcv.imfrombytes(content)
            if pixels is None:
                pixels = _from_pillow(image)
    except ValueError as error:
        raise ValueError(
            f'{source}: not an image that can be read, or damaged ({error})'
        ) from error
    return InputImage(source, pixels, notes)


def _notes(image: Image.Image, turn: int, is_wide: bool) -> tuple[str, ...]:
    notes = []
    frames = getattr(image, 'n_frames', 1)
    if frames > 1:
        notes.append(f'first of {frames} frames')
    if turn != UPRIGHT:
        notes.append(f'turned as its EXIF orientation {turn} says')
    if is_wide:
        notes.append('16 bits brought to 8')
    return tuple(notes)


def _from_pillow(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(upright_rgb(image)[..., ::-1])


def _from_array(array: np.ndarray, source: str) -> np.ndarray:
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise TypeError(
            f'{source}: expected uint8 in [0, 255], got {array.dtype}'
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or not array.size:
        raise ValueError(
            f'{source}: expected (H, W), (H, W, 3) or (H, W, 4), got '
            f'{array.shape}'
        )
    return np.ascontiguousarray(array[..., :3])
