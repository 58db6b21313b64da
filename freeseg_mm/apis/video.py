"""Frames of videos, what moves through them, and images of archives."""

import math
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import numpy as np
from mmcv import VideoReader

from freeseg_mm.utils.fetch import MAX_DOWNLOAD, fetch, max_download
from freeseg_mm.utils.masks import segment_box
from freeseg_mm.utils.names import require_visible, shown

from .inputs import (
    EXTENSIONS,
    InputImage,
    OneImage,
    camera_number,
    decode_image,
    input_file,
    is_remote,
    read_image,
    source_name,
)
from .results import ImageError, ImageResult

VIDEO_EXTENSIONS = (
    '.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv',
)  # fmt: skip
"""Endings of the files and URLs that are taken for videos."""
ARCHIVE_EXTENSIONS = ('.tar',)
"""Endings of the files and URLs that are taken for archives of images."""

# Above it, a container without a frame rate gives the rate of its clock.
_MOST_FPS = 480
# Some containers only estimate their frames; a good one is not so far off.
_LEAST_SHARE = 0.9
# What FFmpeg reads as a list of files anywhere, whatever it is called.
_PLAYLISTS = (b'ffconcat', b'#EXTM3U')
# Headers hold names; one of a damaged archive may ask for all memory.
_MOST_HEADER_BYTES = 1 << 20
_LONGEST_NAME = 4096


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
    """Tell videos and cameras from images by a file name or URL."""
    is_camera = isinstance(entry, str) and camera_number(entry) is not None
    return is_camera or _suffix(entry) in VIDEO_EXTENSIONS


def is_archive(entry: OneImage) -> bool:
    """Tell archives from images by the end of a file name or URL."""
    return _suffix(entry) in ARCHIVE_EXTENSIONS


def _suffix(entry: OneImage) -> str:
    if not isinstance(entry, str):
        return ''
    path = entry
    if '://' in entry:
        with suppress(ValueError):  # fetching says what is wrong
            path = urlsplit(entry).path
    return PurePosixPath(path).suffix.lower()


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
    """Count images and frames; ``None`` if a video or archive is silent."""
    total = 0
    for entry in entries:
        frames: int | None = None if is_archive(entry) else 1
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


def _local(name: str) -> Path:
    """File with what a path or URL names."""
    if is_remote(name):
        return Path(_downloaded(name).name)
    # as a path alone: FFmpeg would take 'data:,x.mp4' for what it says
    return input_file(name).absolute()


def video_path(name: str) -> Path:
    """File of a video on this machine; a URL is downloaded to one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its name has what nobody sees, it is a list of other
            files, or a URL cannot be fetched.
    """
    path = _local(name)
    with suppress(OSError), open(path, 'rb') as file:
        if file.read(len(_PLAYLISTS[0])).startswith(_PLAYLISTS):
            raise ValueError(
                f'{name}: a list of other files, not a video; give the video'
            )
    return path


@contextmanager
def _opened(name: str) -> Iterator[Any]:
    """A video or camera, as mmcv's reader or with the same attributes."""
    number = camera_number(name)
    if number is not None:
        # It comes with mmcv, which leaves open which of its packages (with
        # windows or without) is installed. So it is no requirement of ours.
        cv2 = import_module('cv2')
        camera = cv2.VideoCapture(number)
        try:
            if not camera.isOpened():
                raise ValueError(
                    f'{name}: there is no camera {number}, or another '
                    'program holds it'
                )
            rate = camera.get(cv2.CAP_PROP_FPS)
            yield SimpleNamespace(vcap=camera, fps=rate, frame_cnt=0)
        finally:
            camera.release()
        return
    with VideoReader(str(video_path(name)), cache_capacity=1) as video:
        if not video.opened:
            raise ValueError(
                f'{name}: not a video that can be read, or damaged'
            )
        yield video


class Tracker:
    """Identities of the objects of a video, frame by frame.

    Objects of a class are followed by ByteTrack, as the package trackers
    has it, by their boxes; every object that was predicted counts, whatever
    its score. One gets its number in the second frame that shows it, so
    that what flickers gets none. Numbers begin at 1, are never given twice
    and are those of instances and panoptic segments each.

    Args:
        fps: Frames a second of those that are given.
        memory: Seconds for which an object that is out of sight keeps its
            number.

    Raises:
        ImportError: If trackers is not installed.
    """

    def __init__(self, fps: float = 25.0, memory: float = 1.0) -> None:
        try:
            self._tracking = import_module('trackers')
            self._detections = import_module('supervision').Detections
        except ImportError as error:
            raise ImportError(
                'following objects needs the package trackers; run `pip '
                "install 'freeseg_mm[video]'`"
            ) from error
        self._fps, self._memory = fps, memory
        self._trackers: dict[tuple[str, int], Any] = {}
        self._numbers: dict[tuple[str, int, int], int] = {}
        self._count = {'instance': 0, 'panoptic': 0}

    def update(self, result: ImageResult) -> ImageResult:
        """Number the objects of the next frame.

        Args:
            result: Prediction of the frame.

        Returns:
            The same, where instances and things of the panoptic result have
            their ``track``.
        """
        instances, segments = result.instances, result.segments
        if instances is not None:
            boxes = [(x.label, x.box) for x in instances]
            tracks = self._follow('instance', boxes)
            instances = tuple(
                replace(x, track=track)
                for x, track in zip(instances, tracks, strict=True)
            )
        if segments is not None:
            things = [x for x in segments if x.is_thing]
            boxes = []
            for thing in things:
                left, top, width, height = segment_box(
                    result.segment_mask(thing)
                )
                box = (left, top, left + width, top + height)
                boxes.append((thing.label, box))
            found = dict(
                zip(
                    [x.id for x in things],
                    self._follow('panoptic', boxes),
                    strict=True,
                )
            )
            segments = tuple(
                replace(x, track=found.get(x.id)) for x in segments
            )
        return replace(result, instances=instances, segments=segments)

    def _follow(
        self, task: str, boxes: list[tuple[int, tuple[int, int, int, int]]]
    ) -> list[int | None]:
        """Numbers of labelled boxes of a frame, in their order."""
        numbers: list[int | None] = [None] * len(boxes)
        known = {label for kind, label in self._trackers if kind == task}
        for label in known | {label for label, _ in boxes}:
            places = [i for i, (own, _) in enumerate(boxes) if own == label]
            tracker = self._trackers.get((task, label))
            if tracker is None:
                tracker = self._tracking.ByteTrackTracker(
                    # counted at 30 frames a second, whatever the rate
                    lost_track_buffer=round(30 * self._memory),
                    frame_rate=self._fps,
                    minimum_consecutive_frames=1,
                )
                self._trackers[task, label] = tracker
            detections = self._detections.empty()
            if places:
                detections = self._detections(
                    xyxy=np.array([boxes[i][1] for i in places], np.float32),
                    data={'place': np.array(places)},
                )
            followed = tracker.update(detections)
            if not places:
                continue
            for place, track in zip(
                followed.data['place'].tolist(),
                followed.tracker_id.tolist(),
                strict=True,
            ):
                if track < 0:  # seen for the first time
                    continue
                key = (task, label, track)
                if key not in self._numbers:
                    self._count[task] += 1
                    self._numbers[key] = self._count[task]
                numbers[place] = self._numbers[key]
        return numbers


class _Headers:
    """A tar file whose headers have a limit; all else is sought past."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST_HEADER_BYTES:
            raise ValueError(f'a header of {size:,} bytes')
        return self._file.read(size)


def read_members(name: str) -> Iterator[tuple[str, bytes | str]]:
    """Read the images of a tar archive; nothing is unpacked.

    Args:
        name: Path or URL.

    Yields:
        Name of each file that ends as images do, and its content, or why it
        is refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no archive, holds no image, or, after the last
            one, if it should have gone on.
    """
    count = 0
    try:
        with open(_local(name), 'rb') as file:
            for member in _members(file):
                path = PurePosixPath(member.name)
                if path.suffix.lower() in EXTENSIONS and not member.isdir():
                    count += 1
                    reason = _refusal(member)
                    if reason:
                        yield shown(member.name), reason
                    else:
                        file.seek(member.offset_data)
                        content = file.read(member.size)
                        if len(content) < member.size:
                            raise ValueError(f'it is cut short in {path}')
                        yield str(path), content
    except FileNotFoundError:
        raise
    except Exception as error:  # tarfile reports damage by any
        raise ValueError(
            f'{name}: not a tar archive that can be read, or damaged ({error})'
        ) from error
    if not count:
        raise ValueError(
            f'{name}: an archive without a file that ends in '
            f'{", ".join(EXTENSIONS)}'
        )


def _members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=_Headers(file), mode='r:') as archive:  # type: ignore[call-overload]
        place = -1
        while (member := archive.next()) is not None:
            if member.size < 0 or archive.offset <= place:
                raise ValueError('a header that leads back')
            place = archive.offset
            archive.members = []  # it would keep all
            yield member
        file.seek(archive.offset)
        if not file.read(1):
            raise ValueError('it is cut short: its end mark is missing')


def _refusal(member: tarfile.TarInfo) -> str:
    """Reason why a member is not read; empty if it is."""
    path = PurePosixPath(member.name)
    if not member.isreg() or member.issparse():
        return 'no plain file; links and the like are not followed'
    if path.is_absolute() or '..' in path.parts:
        return 'its name leads out of the archive'
    if len(member.name) > _LONGEST_NAME:
        return f'its name has {len(member.name):,} letters'
    if member.size > max_download():
        return (
            f'it has {member.size:,} bytes; {MAX_DOWNLOAD} sets how many are '
            'read'
        )
    try:
        require_visible(member.name)
    except ValueError as error:
        return str(error)
    return ''


PendingImage = Callable[[], InputImage | ImageError]


def pending_images(
    entries: Sequence[OneImage], frame_stride: int, channel_order: str
) -> Iterator[PendingImage]:
    """Give images and the frames of videos as functions that read them.

    What is in one video or archive is read one after the other here, and
    the functions may then be called in any threads.

    Args:
        entries: Of :func:`freeseg_mm.apis.inputs.list_images`.
        frame_stride: Of a video, every so many frames are taken.
        channel_order: Of arrays, ``bgr`` or ``rgb``.

    Yields:
        In order; in the place of what cannot be read, the function says why.
    """
    for index, entry in enumerate(entries):
        name, number = source_name(entry, index), 0
        try:
            if is_video(entry):
                for frame in read_frames(str(entry), frame_stride):
                    place = index, number
                    yield partial(replace, frame, place=place)
                    number += 1
                    del frame  # not two of them while the next one is read
            elif is_archive(entry):
                for member, content in read_members(str(entry)):
                    source, place = f'{name}/{member}', (index, number)
                    read = partial(_of_archive, content, source, member)
                    yield partial(_attempt, source, place, read)
                    number += 1
            else:
                read = partial(read_image, entry, index, channel_order)
                yield partial(_attempt, name, (index, 0), read)
        except _UNREADABLE as error:
            yield partial(_failure, name, (index, number), error)


_UNREADABLE = (FileNotFoundError, TypeError, ValueError)


def _attempt(
    name: str, place: tuple[int, int], read: Callable[[], InputImage]
) -> InputImage | ImageError:
    try:
        return replace(read(), place=place)
    except _UNREADABLE as error:
        return _failure(name, place, error)


def _failure(
    name: str, place: tuple[int, int], error: Exception
) -> ImageError:
    reason = str(error)
    if name not in reason:
        reason = f'{name}: {reason}'
    return ImageError(name, reason, place)


def _of_archive(content: bytes | str, source: str, member: str) -> InputImage:
    if isinstance(content, str):
        raise ValueError(content)
    return replace(decode_image(content, source), member=member)
