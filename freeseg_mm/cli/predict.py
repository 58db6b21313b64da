"""``freeseg-mm predict``: words in, pictures and masks out."""

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bench_arguments import add_options
from .word_arguments import add_word_arguments, marked, words_of

if TYPE_CHECKING:
    from freeseg_mm.apis.inferencer import FreeSegInferencer
    from freeseg_mm.apis.results import ImageResult

EXAMPLES = """examples:
  freeseg-mm predict photo.jpg --classes 'cat, dog, grass' --out answers
  freeseg-mm predict photos/ 'more/*.png' --vocab coco --tasks panoptic \\
      --out answers --format png coco
  freeseg-mm predict photo.jpg --classes 'cat|kitten, dragon, lawn' \\
      --things 'cat, dragon' --config configs/freeseg/coco.py \\
      --checkpoint work_dirs/coco/iter_60000.pth --json

exit status: 0 if all images were answered; 1 after saying what was wrong or
which images failed (the others are answered); 2 for wrong usage
"""
TASKS = ('semantic', 'instance', 'panoptic')
FORMATS = ('png', 'json', 'coco')
_SHARES = {
    'score_thr': 'least score of an instance mask (default 0.3)',
    'object_score_thr': 'least score of a panoptic segment',
    'overlap_thr': 'least share of a mask that a panoptic segment keeps',
}


def add_parser(commands: Any) -> None:
    """Add ``predict`` to the subcommands."""
    parser = commands.add_parser(
        'predict',
        help='segment images by any words',
        description='Segment images by any words.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'images',
        nargs='+',
        metavar='IMAGE',
        help='file, folder, pattern or URL',
    )
    add_word_arguments(parser)
    parser.add_argument(
        '--config',
        default=None,
        help='config file, or a short name, as demo (default), shapes, coco',
    )
    parser.add_argument(
        '--checkpoint',
        metavar='FILE',
        help='weights; without --config, with the config they carry',
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        choices=TASKS,
        metavar='TASK',
        help=f'{", ".join(TASKS)}; default as configured',
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='write results to this folder'
    )
    parser.add_argument(
        '--format',
        nargs='+',
        choices=FORMATS,
        default=['png'],
        metavar='FORMAT',
        help='of the results: png (pictures with a legend, default), json '
        '(a file an image), coco (instances.json, panoptic.json and PNGs, '
        'label maps)',
    )
    for name, what in _SHARES.items():
        parser.add_argument(
            f'--{name.replace("_", "-")}', type=float, metavar='X', help=what
        )
    parser.add_argument(
        '--batch-size', type=int, default=1, metavar='B', help='default 1'
    )
    parser.add_argument(
        '--max-side',
        type=int,
        default=2048,
        metavar='PIXELS',
        help='answers on larger images are worked out at this longer side, '
        'then enlarged (default 2048)',
    )
    parser.add_argument('--device', help='default: cuda if there is one')
    add_options(parser, '--cfg-options', 'entries of the config')
    parser.add_argument(
        '--json',
        action='store_true',
        help='print a JSON object a line, one for each image',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer all images; what can be refused is refused before weights."""
    from tqdm import tqdm

    from freeseg_mm.apis import Thresholds, read_words
    from freeseg_mm.apis.inputs import list_images
    from freeseg_mm.apis.results import FailedImage
    from freeseg_mm.apis.writer import ResultWriter

    words, things, unseen = (
        words_of(args),
        marked(args.things),
        marked(args.unseen),
    )
    read_words(words, things=things, unseen=unseen)
    shares = {name: getattr(args, name) for name in _SHARES}
    thresholds = Thresholds(
        **{name: share for name, share in shares.items() if share is not None}
    )
    images = list_images(args.images)
    writer = ResultWriter(args.out, args.format) if args.out else None
    answers = _inferencer(args).stream(
        images,
        words,
        things=things,
        unseen=unseen,
        tasks=args.tasks,
        batch_size=args.batch_size,
        thresholds=thresholds,
    )
    failed = 0
    for answer in answers:
        files: list[Path] = []
        if not isinstance(answer, FailedImage) and writer:
            try:
                files = writer.write(answer)
            except (OSError, ValueError) as error:
                answer = FailedImage(answer.source, str(error))
        if isinstance(answer, FailedImage):
            failed += 1
            tqdm.write(f'freeseg-mm: {answer.reason}', file=sys.stderr)
            line = json.dumps(
                {'source': answer.source, 'error': answer.reason}
            )
        elif args.json:
            content = answer.to_json(with_masks=False)
            content['files'] = [str(path) for path in files]
            line = json.dumps(content)
        else:
            line = _summary(answer, files)
        if args.json or not isinstance(answer, FailedImage):
            tqdm.write(line, file=sys.stdout)
    if writer:
        for path in writer.finish():
            print(f'wrote {path}', file=sys.stderr)
    if failed:
        print(
            f'freeseg-mm: {failed} of {len(images)} images failed',
            file=sys.stderr,
        )
    return 1 if failed else 0


def _inferencer(args: argparse.Namespace) -> 'FreeSegInferencer':
    from freeseg_mm.apis import FreeSegInferencer
    from freeseg_mm.utils.quiet import quiet_logger

    # mmengine logs to standard output, which is for answers here
    with redirect_stdout(sys.stderr), quiet_logger('WARNING'):
        return FreeSegInferencer(
            args.config or args.checkpoint or 'demo',
            args.checkpoint if args.config else None,
            device=args.device,
            cfg_options=args.cfg_options,
            max_side=args.max_side,
        )


def _summary(result: 'ImageResult', files: list[Path]) -> str:
    """One line on what was found."""
    if result.segments is not None:
        found = [f'{s.name} {s.score:.2f}' for s in result.segments]
    elif result.masks is not None:
        found = [f'{m.name} {m.score:.2f}' for m in result.masks]
    else:
        total = result.size[0] * result.size[1]
        found = [
            f'{entry["name"]} {100 * entry["area"] / total:.0f} %'
            for entry in result.to_json(with_masks=False)['semantic']
        ]
    line = f'{result.source}: {", ".join(found) or "nothing found"}'
    if result.notes:
        line += f' ({"; ".join(result.notes)})'
    if files:
        line += f' -> {", ".join(map(str, files))}'
    return line
