#!/usr/bin/env python
r"""Train with one's own predictions of the unseen classes, in rounds.

Trains the config (or takes --checkpoint), predicts the unseen classes on the
training images, trains with both, and so on. A run that was killed goes on
by the same command and ends with the same weights. One process; for several
GPUs see docs/self_training.md.

    python tools/self_train.py configs/freeseg/shapes.py --rounds 1 \
        --work-dir work_dirs/shapes_self_training
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
from freeseg_mm.recipes.self_training import SelfTraining
from freeseg_mm.recipes.self_training.command import (
    add_setting_arguments,
    settings_of,
)
from freeseg_mm.recipes.self_training.rounds import STARTS


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--rounds',
        type=int,
        default=1,
        help='trainings with pseudo labels (default: %(default)s)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder of all rounds',
    )
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument(
        '--refresh',
        action='store_true',
        default=True,
        help='each round predicts with the weights of the last (default)',
    )
    labels.add_argument(
        '--once',
        action='store_false',
        dest='refresh',
        help='all rounds learn what the first weights predict',
    )
    parser.add_argument(
        '--from',
        dest='start',
        choices=STARTS,
        default='scratch',
        help='where each training starts (default: %(default)s)',
    )
    parser.add_argument(
        '--checkpoint',
        type=Path,
        help='first weights, in place of a first training',
    )
    add_setting_arguments(parser)
    return parser.parse_args(arguments)


def train(args: argparse.Namespace) -> None:
    training = SelfTraining(
        read_config(args.config, args.cfg_options),
        args.work_dir,
        rounds=args.rounds,
        refresh=args.refresh,
        start=args.start,
        checkpoint=args.checkpoint,
        settings=settings_of(args),
        num_workers=args.workers,
        device=args.device,
    )
    for number, weights in enumerate(training.run()):
        print(f'round {number}: {weights}', flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    return run_command('self_train', lambda: train(args), CONFIG_MISTAKES)


if __name__ == '__main__':
    sys.exit(main())
