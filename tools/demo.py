"""Show open-vocabulary segmentation on two CPU cores in ten minutes.

Generates the shapes world, trains a miniature CLIP on all of its classes and
FreeSeg on the seen ones only, then measures seen and unseen classes with the
scores of the queries, of CLIP and of both, and draws what came out. A step
whose results are there already is skipped.
"""

import argparse
import os
import sys
import time
from pathlib import Path

# The numbers are the CPU's, whatever the machine has.
os.environ['CUDA_VISIBLE_DEVICES'] = ''

from freeseg_mm.evaluation.score_table import score_table  # noqa: E402
from freeseg_mm.shapes import WorldOptions  # noqa: E402
from freeseg_mm.shapes.clip_training import ClipTraining  # noqa: E402
from freeseg_mm.shapes.demo import ShapesDemo  # noqa: E402

REPO = Path(__file__).resolve().parents[1]
# By key in metrics.json.
TITLES = {
    'query': 'query scores only',
    'clip': 'CLIP scores only',
    'ensemble': 'both',
}
EXPLANATION = """\
query scores only  the network by itself, which was taught the seen classes
CLIP scores only   its masks, each classified by what CLIP sees in it
both               their weighted product: queries count more on seen classes,
                   CLIP on unseen ones"""
COLUMNS = {
    'semantic mIoU': 'semantic/mIoU',
    'instance mAP': 'instance/mAP',
    'panoptic PQ': 'panoptic/PQ',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
        '--overwrite',
        action='store_true',
        help='replace scenes and CLIP of other options',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='tiny numbers, to test that it runs; the results mean nothing',
    )
    return parser.parse_args()


def plan(args: argparse.Namespace) -> ShapesDemo:
    world, clip_training = {}, {}
    if args.quick:
        world = {'train': 16, 'val': 16, 'clip': 24}
        clip_training = {'steps': 2, 'groups': 1, 'threads': 1}
    return ShapesDemo(
        work_dir=args.work_dir,
        data=args.data,
        clip=args.clip,
        config=REPO / 'configs' / 'freeseg' / 'shapes.py',
        clip_config=REPO / 'configs' / 'clip' / 'shapes_clip.json',
        train_script=REPO / 'tools' / 'train.py',
        world=WorldOptions(**world),
        clip_training=ClipTraining(seed=args.seed, **clip_training),
        seed=args.seed,
        max_iters=3 if args.quick else None,
        overwrite=args.overwrite,
    )


def run(demo: ShapesDemo) -> None:
    steps = {
        'drawing the shapes world': demo.draw_world,
        'training the miniature CLIP on all classes': demo.train_clip,
        'training FreeSeg on the seen classes': demo.train,
        'measuring seen and unseen classes': demo.measure,
        'drawing pictures': demo.draw_pictures,
    }
    for number, (title, step) in enumerate(steps.items(), start=1):
        print(f'[{number}/{len(steps)}] {title}', flush=True)
        start = time.monotonic()
        has_run = step()
        took = f'done in {time.monotonic() - start:.0f} s'
        print('      ' + (took if has_run else 'there already'), flush=True)


def report(demo: ShapesDemo) -> None:
    metrics = demo.read_metrics()
    rows = {title: metrics[key] for key, title in TITLES.items()}
    print('\nOn test scenes, all classes predicted together, in percent:\n')
    print(score_table(rows, COLUMNS))
    print(f'\n{EXPLANATION}\n')
    for what, path in (
        ('all metrics', demo.metrics),
        ('pictures', demo.pictures[0].parent),
        ('config', demo.config_used),
        ('weights', demo.checkpoint),
    ):
        print(f'{what:<13}{path}')


def main() -> None:
    args = parse_args()
    start = time.monotonic()
    try:
        demo = plan(args)
        run(demo)
        report(demo)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; the same command goes on from here')
    print(f'\nThe demo took {(time.monotonic() - start) / 60:.1f} minutes.')


if __name__ == '__main__':
    main()
