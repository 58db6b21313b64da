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
from freeseg_mm.self_training.measuring import compare_with_hidden_truth


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


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    try:
        config = read_config(args.config, args.cfg_options)
        truth = compare_with_hidden_truth(config, args.folder)
    except (OSError, KeyError, TypeError, ValueError) as error:
        # str() of a KeyError is its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f'score_pseudo_labels: {message}', file=sys.stderr)
        return 1
    print(truth.table(args.score_thr))
    return 0


if __name__ == '__main__':
    sys.exit(main())
