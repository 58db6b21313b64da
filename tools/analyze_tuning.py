#!/usr/bin/env python
r"""What does test-time prompt tuning do to the queries it is confident of?

Tests a checkpoint with tuning, as tools/test.py does, and prints what the
truth says of the confident queries: how many are right, what the others lie
on, how many tuning turns. Where the config does not tune, it does with one
step.

example, the demo, each image by itself:
  tools/analyze_tuning.py configs/freeseg/shapes.py \
      work_dirs/demo/train/iter_500.pth \
      --cfg-options test_dataloader.batch_size=1
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from freeseg_mm.analysis.tuning import observe_tuning
from freeseg_mm.datasets.from_config import add_config_arguments, read_config
from freeseg_mm.datasets.preparation.command import (
    CONFIG_MISTAKES,
    run_command,
)


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', type=Path, help='checkpoint file')
    parser.add_argument(
        '--only-right',
        action='store_true',
        help='tune on those confident queries alone that name what their '
        'mask shows: a bound of what a better choice could be worth',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/analyze_tuning'),
        help='folder of the log, which has the metrics (default: %(default)s)',
    )
    return parser.parse_args(arguments)


def analyse(args: argparse.Namespace) -> None:
    effect = observe_tuning(
        read_config(args.config, args.cfg_options),
        args.checkpoint,
        args.work_dir,
        only_right=args.only_right,
    )
    print('\n'.join(effect.lines()))


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    return run_command(
        'analyze_tuning', lambda: analyse(args), CONFIG_MISTAKES
    )


if __name__ == '__main__':
    sys.exit(main())
