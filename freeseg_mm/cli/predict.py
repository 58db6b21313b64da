"""``freeseg-mm predict``: images and classes in, pictures and masks out."""

import argparse
import json
import sys
from pathlib import Path
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
)

if TYPE_CHECKING:
    from freeseg_mm.apis.results import ImageError, ImageResult

EXAMPLES = """examples:
  freeseg-mm predict photo.jpg --classes 'cat, dog, grass' --out predictions
  freeseg-mm predict photos/ 'more/*.png' --vocab coco --tasks panoptic \\
      --out predictions --format png coco
  freeseg-mm predict photo.jpg --classes 'cat|kitten, dragon, lawn' \\
      --things 'cat, dragon' --config configs/freeseg/coco.py \\
      --checkpoint work_dirs/coco/iter_60000.pth --json
  freeseg-mm predict clip.mp4 --vocab voc --frame-stride 10 --prompt-tuning \\
      --out predictions --format json
  freeseg-mm predict aerial.tif --classes 'house, street, tree' --tile 1024 \\
      --out predictions --format coco

exit status: 0 if all images were predicted; 1 after saying what was wrong or
which images failed (the others are predicted); 2 for wrong usage
"""
FORMATS = ('png', 'json', 'coco')


def add_parser(commands: Any) -> None:
    """Add ``predict`` to the subcommands."""
    parser = commands.add_parser(
        'predict',
        help='segment images by any class names',
        description='Segment images by any class names.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'images',
        nargs='+',
        metavar='IMAGE',
        help='image or video (freeseg-mm video paints those): file, folder of '
        'images, pattern or URL',
    )
    add_class_arguments(parser)
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
    add_inferencer_arguments(parser)
    parser.add_argument(
        '--tile',
        type=int,
        metavar='PIXELS',
        help='predict larger images in tiles of this longest side and join '
        'what crosses them, in place of --max-side',
    )
    parser.add_argument(
        '--overlap',
        type=float,
        default=0.2,
        metavar='SHARE',
        help='of a tile with the next, of a side (default: %(default)s)',
    )
    parser.add_argument(
        '--json',
        action='store_true',
        help='print a JSON object a line, one for each image',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict all images; what can be refused is refused before weights."""
    from tqdm import tqdm

    from freeseg_mm.apis.inputs import list_images
    from freeseg_mm.apis.results import ImageError
    from freeseg_mm.apis.tiling import Tiling
    from freeseg_mm.apis.writer import ResultWriter

    classes, marks = classes_of(args), marks_of(args)
    given = prediction_options(args)
    if args.tile is not None:
        Tiling(args.tile, args.overlap)  # refused before weights
    quiet_decoder()
    images = list_images(args.images)
    writer = None
    if args.out:
        writer = ResultWriter(args.out, args.format, inputs=images)
    predictions = inferencer_of(args).stream(
        images,
        classes,
        tasks=args.tasks,
        batch_size=args.batch_size,
        frame_stride=args.frame_stride,
        tile=args.tile,
        overlap=args.overlap,
        **marks,
        **given,
    )
    failed = total = 0
    for prediction in predictions:
        total += 1
        files: list[Path] = []
        if not isinstance(prediction, ImageError) and writer:
            try:
                files = writer.write(prediction)
            except (OSError, ValueError) as error:
                prediction = ImageError(prediction.title, str(error))
        if isinstance(prediction, ImageError):
            failed += 1
            report_failure(args, prediction)
        elif args.json:
            content = prediction.to_json(with_masks=False)
            content['files'] = [str(path) for path in files]
            tqdm.write(json.dumps(content), file=sys.stdout)
        else:
            tqdm.write(_summary(prediction, files), file=sys.stdout)
    if writer:
        for path in writer.finish():
            print(f'wrote {path}', file=sys.stderr)
    if failed:
        print(
            f'{args.prog}: {failed} of {total} images failed',
            file=sys.stderr,
        )
    return 1 if failed else 0


def report_failure(args: argparse.Namespace, failed: 'ImageError') -> None:
    """Say what failed, with ``--json`` also in a line of the predictions."""
    from tqdm import tqdm

    tqdm.write(f'{args.prog}: {failed.reason}', file=sys.stderr)
    if args.json:
        line = {'source': failed.source, 'error': failed.reason}
        tqdm.write(json.dumps(line), file=sys.stdout)


def _summary(result: 'ImageResult', files: list[Path]) -> str:
    """One line on what was found."""
    if result.segments is not None:
        found = [f'{s.name} {s.score:.2f}' for s in result.segments]
    elif result.instances is not None:
        found = [f'{x.name} {x.score:.2f}' for x in result.instances]
    else:
        total = result.size[0] * result.size[1]
        found = [
            f'{entry["name"]} {100 * entry["area"] / total:.0f} %'
            for entry in result.to_json(with_masks=False)['semantic']
        ]
    line = f'{result.title}: {", ".join(found) or "nothing found"}'
    if result.notes:
        line += f' ({"; ".join(result.notes)})'
    if files:
        line += f' -> {", ".join(map(str, files))}'
    return line
