"""``freeseg-mm video``: a video and classes in, a painted video out."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .arguments import (
    TASKS,
    add_class_arguments,
    add_inferencer_arguments,
    classes_of,
    inferencer_of,
    marks_of,
    prediction_options,
    quiet_decoder,
    say,
)
from .predict import report_failure

if TYPE_CHECKING:
    import numpy as np

    from freeseg_mm.apis.video import Tracker


EXAMPLES = """examples:
  freeseg-mm video clip.mp4 --classes 'cat, dog, grass' --out painted.mp4
  freeseg-mm video clip.mp4 --vocab coco --tasks semantic panoptic \\
      --frame-stride 5 --out painted.avi
  freeseg-mm video clip.mp4 --classes 'cat|kitten, lawn' --json > frames.jsonl
  freeseg-mm video clip.mp4 --classes 'cat, dog' --track --out painted.mp4
  freeseg-mm video webcam --classes 'cup, hand' --max-frames 100 --out me.mp4

Each frame is predicted for itself; a name has one colour in all of them, and
with --track an object one number. Of several tasks the pictures stand side by
side. With the extra `video` (pip install 'freeseg_mm[video]') .mp4, .mov and
.mkv are H.264, which browsers play, with the sound; else OpenCV writes them,
without.

exit status: 0 if all frames were predicted; 1 after saying what was wrong or
that the video is cut short (the frames before are predicted); 2 for wrong
usage
"""
_USUAL_FPS = 25.0


def add_parser(commands: Any) -> None:
    """Add ``video`` to the subcommands."""
    parser = commands.add_parser(
        'video',
        help='segment a video by any class names',
        description='Segment the frames of a video by any class names.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'video',
        metavar='VIDEO',
        help='file, URL, or a camera of this machine: webcam, webcam:1',
    )
    add_class_arguments(parser)
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='the painted video: .mp4, .mov, .mkv or .avi',
    )
    parser.add_argument(
        '--codec',
        metavar='FOURCC',
        help='of --out, as OpenCV calls it, which then writes the video '
        '(default H.264 by ffmpeg, else mp4v; of .avi MJPG)',
    )
    parser.add_argument(
        '--track',
        action='store_true',
        help='follow objects from frame to frame; each has a number',
    )
    parser.add_argument(
        '--max-frames',
        type=int,
        metavar='N',
        help='stop after N predicted frames; of a camera else Ctrl-C stops',
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        choices=TASKS,
        default=['panoptic'],
        metavar='TASK',
        help=f'what is painted, of {", ".join(TASKS)} (default panoptic)',
    )
    add_inferencer_arguments(parser)
    parser.add_argument(
        '--json',
        action='store_true',
        help='print a JSON object a line, one for each frame',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict all frames; what can be refused is refused before weights."""
    from freeseg_mm.apis.inputs import camera_number
    from freeseg_mm.apis.video import Tracker, read_video_info, video_path
    from freeseg_mm.structures import Task

    classes, marks = classes_of(args), marks_of(args)
    _check_files(args)
    is_camera = camera_number(args.video) is not None
    tasks = Task.parse_many(args.tasks)
    call = {
        'classes': classes,
        **marks,
        **prediction_options(args),
        'tasks': tasks,
        'batch_size': args.batch_size,
        'frame_stride': args.frame_stride,
        'num_workers': args.num_workers,
    }
    quiet_decoder()
    info = read_video_info(args.video)
    fps = (info.fps or _USUAL_FPS) / args.frame_stride
    tracker = Tracker(fps) if args.track else None
    with ExitStack() as stack:
        output = None
        if args.out:
            height, width = info.size
            output = VideoOutput(
                args.out,
                (height, len(tasks) * width),
                fps,
                args.codec,
                None if is_camera else video_path(args.video),
            )
            stack.enter_context(output)
        status, frames = _predict_all(args, call, output, tracker)
    if output and output.written:
        say(
            f'wrote {args.out}: {frames} frames',
            sys.stderr if args.json else sys.stdout,
        )
    return status


def _check_files(args: argparse.Namespace) -> None:
    from freeseg_mm.apis.inputs import list_images, local_path
    from freeseg_mm.apis.video import VIDEO_EXTENSIONS, is_video
    from freeseg_mm.utils.errors import require_whole

    if args.max_frames is not None:
        require_whole('--max-frames', args.max_frames, 1)
    if not args.out and not args.json:
        raise ValueError('give --out for a painted video, or --json, or both')
    found = list_images(args.video)
    if found != [args.video] or not is_video(args.video):
        raise ValueError(
            f'{args.video}: expected one video, a file or URL that ends in '
            f'{", ".join(VIDEO_EXTENSIONS)}; `freeseg-mm predict` takes images'
        )
    if args.out and args.out.resolve() == local_path(args.video).resolve():
        raise ValueError(
            f'{args.out}: would take the place of the video itself; choose '
            'another name'
        )


def _predict_all(
    args: argparse.Namespace,
    call: dict[str, Any],
    output: 'VideoOutput | None',
    tracker: 'Tracker | None',
) -> tuple[int, int]:
    """Predict, paint and print frame by frame; exit status and frames."""
    import numpy as np

    from freeseg_mm.apis.results import ImageError

    status = frames = 0
    for prediction in inferencer_of(args).stream(args.video, **call):
        if isinstance(prediction, ImageError):
            status = 1
            report_failure(args, prediction)
            continue
        frames += 1
        if tracker:
            prediction = tracker.update(prediction)
        if output:
            painted = [prediction.plot(task) for task in call['tasks']]
            output.write(np.hstack(painted))
        if args.json:
            say(json.dumps(prediction.to_json(with_masks=False)))
        if frames == args.max_frames:
            break
    return status, frames


CODECS = {'.avi': 'MJPG', '.mkv': 'mp4v', '.mov': 'mp4v', '.mp4': 'mp4v'}
"""Codec of a video by its ending; OpenCV's packages have these."""
# Even sides, which H.264 needs; the index in front, so that it plays at once.
_H264 = (
    *('-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2'),
    *('-movflags', '+faststart'),
)


class VideoOutput:
    """Writes pictures of one size to a video.

    While it is written it stands beside its place under another name; it is
    moved there when it is closed. Without any picture there is no video, and
    an older file of its name stays.

    Args:
        path: The video; its folder is made if it does not exist.
        size: (H, W) of the pictures.
        fps: Pictures a second.
        codec: Four characters as OpenCV knows them, as ``MJPG``; default
            H.264, where imageio-ffmpeg is installed and the ending is not
            ``.avi``, else by the ending.
        sound: File whose sound is copied, if it has any; with H.264 only.

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
        sound: Path | None = None,
    ) -> None:
        suffix = path.suffix.lower()
        if suffix not in CODECS:
            raise ValueError(
                f'{path}: expected a name that ends in {", ".join(CODECS)}'
            )
        if codec is not None and len(codec) != 4:
            raise ValueError(
                f'codec {codec!r}: expected four characters, as MJPG or mp4v'
            )
        self._path = path
        self._size = size
        self._part = _make_part(path)
        self.written = 0
        encoder = None
        if codec is None and suffix != '.avi':
            with suppress(ImportError):
                encoder = import_module('imageio_ffmpeg')
        if encoder is not None:
            self._write, self._release = self._by_ffmpeg(encoder, fps, sound)
        else:
            codec = codec or CODECS[suffix]
            self._write, self._release = self._by_opencv(codec, fps)

    def _by_ffmpeg(self, encoder: Any, fps: float, sound: Path | None) -> Any:
        """Functions that append a picture and finish."""
        if sound is not None:
            reader = encoder.read_frames(str(sound.resolve()))
            if not next(reader).get('audio_codec'):
                sound = None
            reader.close()
        writer = encoder.write_frames(
            str(self._part.resolve()),
            self._size[::-1],
            fps=fps,
            codec='libx264',
            macro_block_size=1,
            ffmpeg_log_level='error',
            audio_path=sound and str(sound.resolve()),
            audio_codec='aac',
            output_params=[*_H264, *(['-shortest'] if sound else [])],
        )
        writer.send(None)
        return (
            lambda picture: writer.send(picture.tobytes()),
            writer.close,
        )

    def _by_opencv(self, codec: str, fps: float) -> Any:
        """Functions that append a picture and finish."""
        # It comes with mmcv, which leaves open which of its packages (with
        # windows or without) is installed. So it is no requirement of ours.
        cv2 = import_module('cv2')
        with _quiet_opencv():
            writer = cv2.VideoWriter(
                str(self._part),
                cv2.VideoWriter_fourcc(*codec),
                fps,
                self._size[::-1],
            )
        if not writer.isOpened():
            self._part.unlink(missing_ok=True)
            suffix = self._path.suffix.lower()
            raise ValueError(
                f'{self._path}: OpenCV cannot write the codec {codec!r} to a '
                f'{suffix} file; leave the codec out for {CODECS[suffix]}'
            )
        return (
            lambda picture: writer.write(picture[..., ::-1].copy()),
            writer.release,
        )

    def write(self, picture: 'np.ndarray') -> None:
        """Append a picture, RGB, (H, W, 3), uint8.

        Raises:
            ValueError: If it is of another size.
        """
        if picture.shape[:2] != self._size:
            raise ValueError(
                f'{self._path}: a picture is {picture.shape[:2]}, (H, W), '
                f'and the video {self._size}'
            )
        self._write(picture)
        self.written += 1

    def close(self) -> None:
        """Finish the video and move it to its place."""
        self._release()
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
