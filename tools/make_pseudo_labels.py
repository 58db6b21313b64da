#!/usr/bin/env python
r"""Predict the unseen classes on a run's training images, for self-training.

Only pixels without a seen label are predicted, and no unseen label is read.
A run that was killed goes on where it stopped. Train with the result by
train_dataloader.dataset.pseudo_labels=DIR; see docs/self_training.md.

    python tools/make_pseudo_labels.py configs/freeseg/shapes.py \
        work_dirs/shapes/iter_500.pth --out work_dirs/shapes/pseudo_labels
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from freeseg_mm.datasets.from_config import add_config_arguments, read_config
from freeseg_mm.datasets.preparation.command import (
    CONFIG_MISTAKES,
    run_command,
)
from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.recipes.self_training import Labelling
from freeseg_mm.recipes.self_training.command import (
    add_setting_arguments,
    settings_of,
)


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', type=Path, help='weights of the run')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder of the pseudo labels',
    )
    add_setting_arguments(parser)
    parser.add_argument(
        '--limit', type=int, help='only so many first images, for a look'
    )
    parser.add_argument(
        '--pictures',
        type=int,
        default=4,
        help='pictures to draw (default: %(default)s)',
    )
    return parser.parse_args(arguments)


def make(args: argparse.Namespace) -> None:
    files = PseudoLabelFiles(args.out)
    was_made = Labelling(
        read_config(args.config, args.cfg_options),
        args.checkpoint,
        args.out,
        settings_of(args),
        limit=args.limit,
        num_pictures=args.pictures,
        num_workers=args.workers,
        device=args.device,
    ).run()
    print(files.summary.read_text('utf-8'), end='')
    print(f'{"made" if was_made else "there already"}: {files.json}')


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    return run_command(
        'make_pseudo_labels', lambda: make(args), CONFIG_MISTAKES
    )


if __name__ == '__main__':
    sys.exit(main())
