"""``freeseg-mm predict``: images and classes in, pictures and masks out."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .arguments import (
    TASKS,
    CommandParser,
    add_class_arguments,
    add_command,
    add_inferencer_arguments,
    add_shard,
    classes_of,
    inferencer_of,
    marks_of,
    prediction_options,
    quiet_decoder,
    say,
)

if TYPE_CHECKING:
    from freeseg_mm.apis.results import ImageError, ImageResult
    from freeseg_mm.apis.writer import ResultWriter, Written
    from freeseg_mm.utils.parallel import Shard

    Reported: TypeAlias = tuple[ImageResult | ImageError, Sequence[Path]]

EXAMPLES = """examples:
  freeseg-mm predict photo.jpg --classes 'cat, dog, grass' --out predictions
  freeseg-mm predict photos/ 'more/*.png' --vocab coco --tasks panoptic \\
      --out predictions --format png coco
  freeseg-mm predict photo.jpg --classes 'cat|kitten, dragon, lawn' \\
      --things 'cat, dragon' --config configs/freeseg/coco.py \\
      --checkpoint work_dirs/coco/iter_60000.pth --json
  freeseg-mm predict 'shards/*.tar' list.txt --vocab coco --resume \\
      --out predictions --format coco --num-workers 8
  freeseg-mm predict clip.mp4 --vocab voc --frame-stride 10 --prompt-tuning \\
      --out predictions --format json
  freeseg-mm predict aerial.tif --classes 'house, street, tree' --tile 1024 \\
      --out predictions --format coco

exit status: 0 if all images were predicted; 1 after saying what was wrong or
which images failed (the others are predicted); 2 for wrong usage
"""
_MERGE = """\
Write what all images share, as instances.json, once each shard is done.

    for i in 1 2; do
        freeseg-mm predict photos/ --vocab coco --out predictions \\
            --format coco --shard $i/2 --device cuda:$((i - 1)) --resume &
    done; wait
    freeseg-mm merge predictions
"""
FORMATS = (
    'png', 'json', 'coco', 'yolo', 'labelme', 'labelstudio', 'cvat', 'geojson',
)  # fmt: skip


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
        help='image, video (freeseg-mm video paints those) or archive of '
        'images (.tar): file, folder of images, list of files (.txt, one a '
        'line), pattern or URL',
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
        'label maps); or for a tool: yolo, labelme, labelstudio, cvat, '
        'geojson',
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
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on where a run that was killed stopped; the files are those '
        'of a run that was not',
    )
    add_shard(parser, 'the images', '`freeseg-mm merge` joins them')
    parser.set_defaults(run=run, goes_on=False)
    add_command(
        commands,
        'merge',
        help='join the shards of a prediction',
        text=_MERGE,
        layout=_lay_out_merge,
        run=run_merge,
    )


def _lay_out_merge(parser: CommandParser) -> None:
    parser.add_argument(
        'folder',
        metavar='DIR',
        type=Path,
        help='the --out of `freeseg-mm predict`',
    )


def run(args: argparse.Namespace) -> int:
    """Predict all images; what can be refused is refused before weights."""
    from freeseg_mm.apis import read_classes
    from freeseg_mm.apis.inputs import Entries, list_images
    from freeseg_mm.apis.tiling import Tiling
    from freeseg_mm.apis.writer import FAILURES, ResultWriter
    from freeseg_mm.utils.parallel import ordered_map

    classes, marks = classes_of(args), marks_of(args)
    options = {'tasks': args.tasks, **prediction_options(args), **marks}
    if args.tile is not None:
        Tiling(args.tile, args.overlap)  # refused before weights
    quiet_decoder()
    inputs = list_images(args.images)
    shard = _shard_of(args)
    writer = None
    if args.out:
        words = read_classes(classes, **marks)
        writer = ResultWriter(
            args.out, args.format, inputs, words, shard=shard
        )
    inferencer = inferencer_of(args)
    predict = partial(
        inferencer.stream,
        Entries(shard.of(inputs)),
        classes,
        batch_size=args.batch_size,
        frame_stride=args.frame_stride,
        num_workers=args.num_workers,
        tile=args.tile,
        overlap=args.overlap,
        **options,
    )
    if writer is None:
        return _report(args, ((outcome, ()) for outcome in predict()))
    goes_on = args.resume or shard.count > 1
    if goes_on and inferencer.options.prompt_tuning.online:
        raise ValueError(
            'test_cfg.prompt_tuning.online carries what it learned from '
            'image to image: predict all in one go, by one process'
        )
    subject = {
        **inferencer.subject(classes, **options),
        'batch_size': args.batch_size,
        'frame_stride': args.frame_stride,
        'tile': args.tile and [args.tile, args.overlap],
    }
    status = 0
    with writer.recording(subject, resume=args.resume) as done:
        if done is not None:
            # batches are cut as they would have been
            skip = done - done % args.batch_size
            # there may be more shards than inputs
            outcomes = predict(skip=skip) if shard.of(inputs) else iter(())
            written = ordered_map(
                writer.write,
                islice(outcomes, done - skip, None),
                threads=args.num_workers,
                ahead=args.num_workers,
            )
            status = _report(args, _noted(writer, written))
    for path in writer.finish():
        say(f'wrote {path}', sys.stderr)
    return int(status or (args.out / FAILURES).exists())


def run_merge(args: argparse.Namespace) -> int:
    """Join the shards of a prediction, unless it was done."""
    from freeseg_mm.apis.writer import FAILURES, merge

    for path in merge(args.folder):
        say(f'wrote {path}')
    return int((args.folder / FAILURES).exists())


def _shard_of(args: argparse.Namespace) -> 'Shard':
    from freeseg_mm.utils.parallel import Shard

    for option in ('shard', 'resume'):
        if getattr(args, option) and not args.out:
            raise ValueError(f'--{option} needs the folder --out')
    return Shard.parse(args.shard or '1/1')


def _noted(
    writer: 'ResultWriter', written: Iterable['Written']
) -> Iterator['Reported']:
    for each in written:
        writer.append(each)
        yield each.outcome, each.files


def _report(args: argparse.Namespace, results: Iterable['Reported']) -> int:
    """Say what was found in each image; gives the exit status."""
    from freeseg_mm.apis.results import ImageError

    failed = total = 0
    for outcome, files in results:
        total += 1
        if isinstance(outcome, ImageError):
            failed += 1
            report_failure(args, outcome)
        elif args.json:
            content = outcome.to_json(with_masks=False)
            content['files'] = [str(path) for path in files]
            say(json.dumps(content))
        else:
            say(_summary(outcome, files))
    if failed:
        print(
            f'{args.prog}: {failed} of {total} images failed',
            file=sys.stderr,
        )
    return 1 if failed else 0


def report_failure(args: argparse.Namespace, failed: 'ImageError') -> None:
    """Say what failed, with ``--json`` also in a line of the predictions."""
    say(f'{args.prog}: {failed.reason}', sys.stderr)
    if args.json:
        line = {'source': failed.source, 'error': failed.reason}
        say(json.dumps(line))


def _summary(result: 'ImageResult', files: Sequence[Path]) -> str:
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
