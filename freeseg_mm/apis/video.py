"""Frames of videos, one at a time."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

from mmcv import VideoReader

from freeseg_mm.utils.fetch import fetch
from freeseg_mm.utils.names import require_visible

from .inputs import (
    InputImage,
    OneImage,
    is_remote,
    local_path,
    read_image,
    source_name,
)
from .results import ImageError

VIDEO_EXTENSIONS = (
    '.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv',
)  # fmt: skip
"""Endings of the files and URLs that are taken for videos."""

# Above it, a container without a frame rate gives the rate of its clock.
_MOST_FPS = 480
# Some containers only estimate their frames; a good one is not so far off.
_LEAST_SHARE = 0.9
# What FFmpeg reads as a list of files anywhere, whatever it is called.
_PLAYLISTS = (b'ffconcat', b'#EXTM3U')


@dataclass(frozen=True)
class VideoInfo:
    """Size, rate and length that a video declares.

    Attributes:
        size: (H, W) of its first frame, turned upright.
        fps: Frames a second, ``None`` if it does not say.
        frames: How many there are, which some containers only estimate;
            ``None`` if it does not say.
    """

    size: tuple[int, int]
    fps: float | None
    frames: int | None


def is_video(entry: OneImage) -> bool:
    """Tell videos from images by the end of a file name or URL."""
    if not isinstance(entry, str):
        return False
    path = entry
    if '://' in entry:
        with suppress(ValueError):  # fetching says what is wrong
            path = urlsplit(entry).path
    return PurePosixPath(path).suffix.lower() in VIDEO_EXTENSIONS


def read_video_info(name: str) -> VideoInfo:
    """Read what a video says of itself, and its first frame.

    Args:
        name: Path or URL.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If not even a first frame can be read.
    """
    with _opened(name) as video:
        read, frame = video.vcap.read()
        if not read:
            raise ValueError(
                f'{name}: a video without a frame that can be read'
            )
        fps = video.fps if 0 < video.fps <= _MOST_FPS else None
        known = fps is not None and video.frame_cnt > 0
        return VideoInfo(
            size=(frame.shape[0], frame.shape[1]),
            fps=fps,
            frames=video.frame_cnt if known else None,
        )


def read_frames(name: str, frame_stride: int = 1) -> Iterator[InputImage]:
    """Read a video's frames; none is kept.

    Args:
        name: Path or URL.
        frame_stride: Every so many frames are taken, from frame 0.

    Yields:
        The frames, which know their number and time.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no video, or, after the last frame that can be
            read, if it should have gone on.
    """
    info = read_video_info(name)
    index = 0
    with _opened(name) as video:
        while video.vcap.grab():
            if index % frame_stride == 0:
                read, pixels = video.vcap.retrieve()
                if not read:
                    break
                yield InputImage(
                    source=name,
                    pixels=pixels,
                    frame=index,
                    seconds=None if info.fps is None else index / info.fps,
                )
                del pixels  # not two of them while the next one is read
            index += 1
    if info.frames is not None and index < _LEAST_SHARE * info.frames:
        raise ValueError(
            f'{name}: {index} frames could be read of {info.frames}; the '
            'video is cut short or damaged'
        )


def count_inputs(entries: Sequence[OneImage], frame_stride: int) -> int | None:
    """Count images and frames; ``None`` if a video does not say."""
    total = 0
    for entry in entries:
        frames: int | None = 1
        if is_video(entry):
            # the error of one that cannot be read takes a place, too
            with suppress(FileNotFoundError, ValueError):
                frames = read_video_info(str(entry)).frames
        if frames is None:
            return None
        total += math.ceil(frames / frame_stride)
    return total


@lru_cache(maxsize=1)
def _downloaded(url: str) -> Any:
    """A file with what is behind a URL; it goes with its last user.

    FFmpeg would fetch it itself, from anywhere and without limits.
    """
    suffix = PurePosixPath(urlsplit(url).path).suffix
    file = NamedTemporaryFile(suffix=suffix)  # noqa: SIM115 - the cache's
    fetch(url, file)  # type: ignore[arg-type]
    file.flush()
    return file


@contextmanager
def _opened(name: str) -> Iterator[VideoReader]:
    if is_remote(name):
        path = Path(_downloaded(name).name)
    else:
        path = local_path(name)
        require_visible(path.name)
    with suppress(OSError), open(path, 'rb') as file:
        if file.read(len(_PLAYLISTS[0])).startswith(_PLAYLISTS):
            raise ValueError(
                f'{name}: a list of other files, not a video; give the video'
            )
    try:
        video = VideoReader(str(path), cache_capacity=1)
    except FileNotFoundError:
        raise FileNotFoundError(f'no such file: {name}') from None
    with video:
        if not video.opened:
            raise ValueError(
                f'{name}: not a video that can be read, or damaged'
            )
        yield video


def read_inputs(
    entries: Sequence[OneImage], frame_stride: int, channel_order: str
) -> Iterator[InputImage | ImageError]:
    """Read images and the frames of videos, each when it is asked for.

    Args:
        entries: Of :func:`freeseg_mm.apis.inputs.list_images`.
        frame_stride: Of a video, every so many frames are taken.
        channel_order: Of arrays, ``bgr`` or ``rgb``.

    Yields:
        In order; in the place of what cannot be read, why.
    """
    for index, entry in enumerate(entries):
        try:
            if is_video(entry):
                yield from read_frames(str(entry), frame_stride)
            else:
                yield read_image(entry, index, channel_order)
        except (FileNotFoundError, TypeError, ValueError) as error:
            name, reason = source_name(entry, index), str(error)
            if name not in reason:
                reason = f'{name}: {reason}'
            yield ImageError(name, reason)
