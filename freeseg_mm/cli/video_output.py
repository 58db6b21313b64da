"""A video file that is written picture by picture."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from types import TracebackType

import numpy as np

# It comes with mmcv, which leaves open which of its packages (with windows
# or without) is installed. So it is no requirement of ours.
cv2 = import_module('cv2')

CODECS = {'.avi': 'MJPG', '.mkv': 'mp4v', '.mov': 'mp4v', '.mp4': 'mp4v'}
"""Codec of a video by its ending; OpenCV's packages have these."""


class VideoOutput:
    """Writes pictures of one size to a video.

    While it is written it stands beside its place under another name; it is
    moved there when it is closed. Without any picture there is no video, and
    an older file of its name stays.

    Args:
        path: The video; its folder is made if it does not exist.
        size: (H, W) of the pictures.
        fps: Pictures a second.
        codec: Four characters as OpenCV knows them, as ``MJPG``; default by
            the ending.

    Attributes:
        written: Pictures that were written.

    Raises:
        ValueError: If the ending or codec is unknown, or the file cannot be
            written.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        codec: str | None = None,
    ) -> None:
        suffix = path.suffix.lower()
        if suffix not in CODECS:
            raise ValueError(
                f'{path}: expected a name that ends in {", ".join(CODECS)}'
            )
        codec = codec or CODECS[suffix]
        if len(codec) != 4:
            raise ValueError(
                f'codec {codec!r}: expected four characters, as MJPG or mp4v'
            )
        self._path = path
        self._size = size
        self._part = _make_part(path)
        self.written = 0
        with _quiet_opencv():
            self._writer = cv2.VideoWriter(
                str(self._part),
                cv2.VideoWriter_fourcc(*codec),
                fps,
                size[::-1],
            )
        if not self._writer.isOpened():
            self._part.unlink(missing_ok=True)
            raise ValueError(
                f'{path}: OpenCV cannot write the codec {codec!r} to a '
                f'{suffix} file; leave the codec out for {CODECS[suffix]}'
            )

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, RGB, (H, W, 3), uint8.

        Raises:
            ValueError: If it is of another size.
        """
        if picture.shape[:2] != self._size:
            raise ValueError(
                f'{self._path}: a picture is {picture.shape[:2]}, (H, W), '
                f'and the video {self._size}'
            )
        self._writer.write(np.ascontiguousarray(picture[..., ::-1]))
        self.written += 1

    def close(self) -> None:
        """Finish the video and move it to its place."""
        self._writer.release()
        if self.written:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> 'VideoOutput':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _make_part(path: Path) -> Path:
    """Make an empty file beside a video, of a name that was free."""
    if path.is_dir():
        raise ValueError(f'{path} is a folder; give the name of a video file')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            part = path.with_name(f'{path.stem}.part{number}{path.suffix}')
            if not part.exists():
                part.open('xb').close()
                break
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be written ({error.strerror})'
        ) from error
    return part


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Drop what OpenCV prints of a codec, past Python, to standard error."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
