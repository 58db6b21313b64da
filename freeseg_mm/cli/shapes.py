"""``freeseg-mm demo`` and ``shapes``: the benchmark that is generated."""

import argparse
import os
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeseg_mm.utils.files import PACKAGE_FILES, find_path

from .arguments import (
    CommandParser,
    add_command,
    add_fields,
    add_group,
    name_list,
    read_options,
)

if TYPE_CHECKING:
    from freeseg_mm.shapes.demo import ShapesDemo

_DEMO = """\
Show open-vocabulary segmentation on two CPU cores in ten minutes.

Generates the shapes world, trains a miniature CLIP on all of its classes and
FreeSeg on the seen ones only, then measures seen and unseen classes with the
scores of the queries, of CLIP and of both, draws what came out, and asks for
words that no class has, or for yours. A step whose results are there already
is skipped.
"""
_MAKE = """\
Generate the shapes world: scenes of coloured figures on textures.

Writes a COCO-panoptic dataset with the splits train, val, tune (to choose
settings on) and clip (the scenes that train the miniature CLIP, see freeseg-mm
shapes clip). The same options give the same bytes. Half a minute on two cores.
"""
_CLIP = """\
Train the miniature CLIP of the shapes world.

Learns contrastively from captioned crops of the split clip of a folder that
freeseg-mm shapes make wrote. Writes an ordinary open_clip checkpoint, its
model config and metrics.json with the zero-shot accuracy on crops of the
split val. Two and a half minutes on two cores.
"""
# By key in metrics.json.
_TITLES = {
    'query': 'query scores only',
    'clip': 'CLIP scores only',
    'ensemble': 'both',
}
_EXPLANATION = """\
query scores only  the network by itself, which was taught the seen classes
CLIP scores only   its masks, each classified by what CLIP sees in it
both               their weighted product: queries count more on seen classes,
                   CLIP on unseen ones"""
_COLUMNS = {
    'semantic mIoU': 'semantic/mIoU',
    'instance mAP': 'instance/mAP',
    'panoptic PQ': 'panoptic/PQ',
}
# Objects by their colour alone: nothing in the demo is called so.
_WORDS = (
    'something red, something blue, something green, something yellow, '
    'something purple, something black, sky, grass, brick, sand, water, '
    'wood, snow, pebbles, tiles'
)
_CLIP_CONFIG = Path('configs/clip/shapes_clip.json')


def add_parser(commands: Any) -> None:
    """Add ``demo`` and ``shapes`` to the subcommands."""
    add_command(
        commands,
        'demo',
        help='train and show open-vocabulary segmentation on the CPU',
        text=_DEMO,
        layout=_lay_out_demo,
        run=run_demo,
        goes_on=True,
    )
    actions = add_group(
        commands, 'shapes', help='make the data and CLIP of the demo'
    )
    add_command(
        actions,
        'make',
        help='generate the scenes',
        text=_MAKE,
        layout=_lay_out_make,
        run=run_make,
    )
    add_command(
        actions,
        'clip',
        help='train the miniature CLIP on them',
        text=_CLIP,
        layout=_lay_out_clip,
        run=run_clip,
    )


def _lay_out_demo(parser: CommandParser) -> None:
    for name, default, what in (
        ('--work-dir', 'work_dirs/demo', 'results'),
        ('--data', 'data/shapes', 'the generated scenes'),
        ('--clip', 'data/shapes_clip', 'the miniature CLIP'),
    ):
        parser.add_argument(
            name,
            type=Path,
            default=Path(default),
            metavar='FOLDER',
            help=f'folder of {what} (default: {default})',
        )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of both trainings; the scenes are always the same',
    )
    parser.add_argument(
        '--words',
        type=name_list,
        metavar='NAMES',
        default=_WORDS,
        help='classes to ask for in the end, in your words (default: '
        '%(default)s)',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace scenes and CLIP of other options',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='tiny numbers, to test that it runs; the results mean nothing',
    )


def run_demo(args: argparse.Namespace) -> None:
    """Go through the steps and print the scores."""
    # The numbers are the CPU's, whatever the machine has. Before torch loads.
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    start = time.monotonic()
    demo = _plan(args)
    steps = {
        'drawing the shapes world': demo.draw_world,
        'training the miniature CLIP on all classes': demo.train_clip,
        'training FreeSeg on the seen classes': demo.train,
        'measuring seen and unseen classes': demo.measure,
        'drawing pictures': demo.draw_pictures,
        'drawing the curve of the training': demo.draw_curve,
        'asking for words that no class has': demo.ask,
    }
    for number, (title, step) in enumerate(steps.items(), start=1):
        print(f'[{number}/{len(steps)}] {title}', flush=True)
        begin = time.monotonic()
        has_run = step()
        took = f'done in {time.monotonic() - begin:.0f} s'
        print('      ' + (took if has_run else 'there already'), flush=True)
    _report(demo)
    print(f'\nThe demo took {(time.monotonic() - start) / 60:.1f} minutes.')


def _plan(args: argparse.Namespace) -> 'ShapesDemo':
    from freeseg_mm.apis import read_classes
    from freeseg_mm.shapes import WorldOptions
    from freeseg_mm.shapes.clip_training import ClipTraining
    from freeseg_mm.shapes.demo import ShapesDemo

    read_classes(args.words)  # refused before the minutes of training
    world = WorldOptions()
    clip_training = ClipTraining(seed=args.seed)
    if args.quick:
        world = WorldOptions(train=16, val=16, clip=24, tune=4)
        clip_training = replace(clip_training, steps=2, groups=1, threads=1)
    return ShapesDemo(
        work_dir=args.work_dir,
        data=args.data,
        clip=args.clip,
        config=PACKAGE_FILES / 'configs/freeseg/shapes.py',
        clip_config=PACKAGE_FILES / _CLIP_CONFIG,
        train_script=PACKAGE_FILES / 'tools/train.py',
        world=world,
        clip_training=clip_training,
        seed=args.seed,
        words=tuple(args.words),
        max_iters=3 if args.quick else None,
        overwrite=args.overwrite,
    )


def _report(demo: 'ShapesDemo') -> None:
    from freeseg_mm.evaluation.splits import score_table

    metrics = demo.read_metrics()
    rows = {title: metrics[key] for key, title in _TITLES.items()}
    print('\nOn test scenes, all classes predicted together, in percent:\n')
    print(score_table(rows, _COLUMNS))
    print(f'\n{_EXPLANATION}\n')
    for what, path in (
        ('all metrics', demo.metrics),
        ('pictures', demo.pictures[0].parent),
        ('curve', demo.curve),
        ('words', demo.words_picture),
        ('config', demo.config_used),
        ('weights', demo.checkpoint),
    ):
        print(f'{what:<13}{path}')
    command = [
        *('freeseg-mm', 'predict', str(demo.data / 'val/000007.jpg')),
        *('--classes', 'your, words', '--config', str(demo.config_used)),
        *('--checkpoint', str(demo.checkpoint)),
    ]
    print('\nYour own words, in a scene of yours or in this one:\n')
    print(shlex.join(command))


def _lay_out_make(parser: CommandParser) -> None:
    from freeseg_mm.shapes import WorldOptions

    parser.add_argument('out', metavar='OUT', help='folder to write')
    add_fields(parser, WorldOptions)
    parser.add_argument(
        '--workers', type=int, help='processes; one per core if not given'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace shapes data of other options',
    )


def run_make(args: argparse.Namespace) -> None:
    """Generate the scenes, unless they are there."""
    from freeseg_mm.shapes import WorldOptions, generate_shapes

    written = generate_shapes(
        args.out,
        read_options(WorldOptions, args),
        workers=args.workers,
        overwrite=args.overwrite,
    )
    print(
        f'shapes data is in {args.out}'
        if written
        else f'nothing to do: {args.out} already holds this data'
    )


def _lay_out_clip(parser: CommandParser) -> None:
    from freeseg_mm.shapes.clip_training import ClipTraining

    parser.add_argument(
        'data', metavar='DATA', help='folder of the shapes data'
    )
    parser.add_argument(
        'out', metavar='OUT', help='folder to write; files are replaced'
    )
    parser.add_argument(
        '--model',
        type=Path,
        default=_CLIP_CONFIG,
        help='open_clip model config (default: %(default)s)',
    )
    add_fields(parser, ClipTraining)


def run_clip(args: argparse.Namespace) -> None:
    """Train the miniature CLIP and print its accuracy."""
    from freeseg_mm.shapes.clip_training import ClipTraining, train_shapes_clip

    metrics = train_shapes_clip(
        args.data,
        args.out,
        model_config=find_path(args.model),
        training=read_options(ClipTraining, args),
    )
    accuracy = metrics['zero_shot_accuracy']
    print(
        'zero-shot accuracy on val crops, percent: '
        + ', '.join(f'{key} {value:.1f}' for key, value in accuracy.items())
    )
