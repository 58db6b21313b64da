#!/usr/bin/env python
"""Draw images after their pipeline, with the targets of the losses.

Crop, flip and colours are those of training; the targets of each task are
those its losses are computed from. What is ignored is hatched.

    python tools/browse_dataset.py configs/freeseg/shapes.py --num 4
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from freeseg_mm.cli.main import user_errors
from freeseg_mm.datasets.from_config import (
    LOADERS,
    build_dataset,
    dataset_configs,
)
from freeseg_mm.structures import Task
from freeseg_mm.utils.image_files import write_picture
from freeseg_mm.utils.run_config import add_config_arguments, read_config
from freeseg_mm.visualization.browsing import sample_pictures, spread_indices


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--split',
        choices=LOADERS,
        default='train',
        help='whose data to draw (default: %(default)s)',
    )
    parser.add_argument(
        '--num',
        type=int,
        default=8,
        help='pictures, evenly over the data (default: %(default)s)',
    )
    parser.add_argument(
        '--task',
        nargs='+',
        choices=[task.value for task in Task],
        default=[task.value for task in Task],
        help='tasks to draw the targets of (default: all)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/browse'),
        help='folder of the pictures (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the first picture, the next ones follow (default: 0)',
    )
    parser.add_argument(
        '--show-seed',
        action='store_true',
        help='write the seed on each picture',
    )
    return parser.parse_args()


def draw(args: argparse.Namespace) -> None:
    config = read_config(args.config, args.cfg_options)
    for dataset_config in dataset_configs(config, args.split):
        dataset = build_dataset(dataset_config)
        pictures = sample_pictures(
            dataset,
            args.num,
            tasks=Task.parse_many(args.task),
            seed=args.seed,
            show_seed=args.show_seed,
        )
        count = len(spread_indices(len(dataset), args.num))
        for name, picture in tqdm(pictures, 'drawing', total=count):
            write_picture(picture, args.out / name)
    print(f'pictures are in {args.out}')


def main() -> None:
    args = parse_args()
    with user_errors('browse_dataset'):
        draw(args)


if __name__ == '__main__':
    main()
