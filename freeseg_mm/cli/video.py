"""``freeseg-mm video``: a video and words in, a painted video out."""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .inferencer_arguments import (
    TASKS,
    add_inferencer_arguments,
    inferencer_of,
    quiet_decoder,
    thresholds_of,
)
from .predict import report_failure
from .word_arguments import add_word_arguments, marked, words_of

if TYPE_CHECKING:
    from freeseg_mm.apis.video import VideoInfo

    from .video_output import VideoOutput

EXAMPLES = """examples:
  freeseg-mm video clip.mp4 --classes 'cat, dog, grass' --out painted.mp4
  freeseg-mm video clip.mp4 --vocab coco --tasks semantic panoptic \\
      --every 5 --out painted.avi
  freeseg-mm video clip.mp4 --classes 'cat|kitten, lawn' --json > frames.jsonl

Each frame is answered for itself; a name has one colour in all of them. Of
several tasks the pictures stand side by side. Sound is not copied.

exit status: 0 if all frames were answered; 1 after saying what was wrong or
that the video is cut short (the frames before are answered); 2 for wrong
usage
"""
_USUAL_FPS = 25.0


def add_parser(commands: Any) -> None:
    """Add ``video`` to the subcommands."""
    parser = commands.add_parser(
        'video',
        help='segment a video by any words',
        description='Segment the frames of a video by any words.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('video', metavar='VIDEO', help='file or URL')
    add_word_arguments(parser)
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='the painted video: .mp4, .mov, .mkv or .avi',
    )
    parser.add_argument(
        '--codec',
        metavar='FOURCC',
        help='of --out, as OpenCV calls it (default mp4v, of .avi MJPG)',
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
    """Answer all frames; what can be refused is refused before weights."""
    from freeseg_mm.apis import read_words
    from freeseg_mm.apis.video import read_video_info
    from freeseg_mm.structures import Task

    words = words_of(args)
    marks = {'things': marked(args.things), 'unseen': marked(args.unseen)}
    read_words(words, **marks)
    _check_files(args)
    tasks = Task.parse_many(args.tasks)
    call = {
        'classes': words,
        **marks,
        'tasks': tasks,
        'thresholds': thresholds_of(args),
        'batch_size': args.batch_size,
        'every': args.every,
    }
    quiet_decoder()
    info = read_video_info(args.video)
    with ExitStack() as stack:
        output = None
        if args.out:
            output = stack.enter_context(_output(args, info, len(tasks)))
        status, frames = _answer_all(args, call, output)
    if output and output.written:
        print(
            f'wrote {args.out}: {frames} frames',
            file=sys.stderr if args.json else sys.stdout,
        )
    return status


def _check_files(args: argparse.Namespace) -> None:
    from freeseg_mm.apis.inputs import list_images, local_path
    from freeseg_mm.apis.video import VIDEO_EXTENSIONS, is_video

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


def _output(
    args: argparse.Namespace, info: 'VideoInfo', num_tasks: int
) -> 'VideoOutput':
    from .video_output import VideoOutput

    height, width = info.size
    return VideoOutput(
        args.out,
        (height, num_tasks * width),
        (info.fps or _USUAL_FPS) / args.every,
        args.codec,
    )


def _answer_all(
    args: argparse.Namespace,
    call: dict[str, Any],
    output: 'VideoOutput | None',
) -> tuple[int, int]:
    """Answer, paint and print frame by frame; exit status and frames."""
    import numpy as np
    from tqdm import tqdm

    from freeseg_mm.apis.results import FailedImage

    status = frames = 0
    for answer in inferencer_of(args).stream(args.video, **call):
        if isinstance(answer, FailedImage):
            status = 1
            report_failure(answer, args.json)
            continue
        frames += 1
        if output:
            painted = [answer.overlay(task) for task in call['tasks']]
            output.write(np.hstack(painted))
        if args.json:
            line = json.dumps(answer.to_json(with_masks=False))
            tqdm.write(line, file=sys.stdout)
    return status, frames
