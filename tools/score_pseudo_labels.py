#!/usr/bin/env python
"""Compare pseudo labels with the labels that training hides, to choose limits.

Needs true labels of the unseen classes, so it is for benchmarks; making and
learning pseudo labels does without.

    python tools/score_pseudo_labels.py configs/freeseg/shapes.py DIR
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
from freeseg_mm.recipes.self_training.measuring import (
    compare_with_hidden_gt,
)


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        'folder', type=Path, help='what tools/make_pseudo_labels.py filled'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        nargs='+',
        default=[0.0, 0.2, 0.4, 0.6, 0.8, 0.9],
        help='least scores, a line for each (default: %(default)s)',
    )
    return parser.parse_args(arguments)


def score(args: argparse.Namespace) -> None:
    config = read_config(args.config, args.cfg_options)
    gt = compare_with_hidden_gt(config, args.folder)
    print(gt.table(args.score_thr))


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    return run_command(
        'score_pseudo_labels', lambda: score(args), CONFIG_MISTAKES
    )


if __name__ == '__main__':
    sys.exit(main())
