"""``freeseg-mm bench train``: what a training step costs."""

import argparse
from typing import Any

from .bench_arguments import (
    add_common_arguments,
    check_out,
    read_options,
    write_out,
)


def add_parser(commands: Any) -> None:
    """Add ``train`` to the measurements."""
    parser = commands.add_parser(
        'train',
        help='cost of one training step, part by part',
        description=(
            'Count, then time what one training step takes, part by part, '
            "next to mmdet's Mask2Former of the same size (--against "
            'mask2former) or another config. Weights are random.'
        ),
    )
    add_common_arguments(
        parser, image_size=128, batch=2, classes='156', preset='mask2former'
    )
    parser.add_argument(
        '--task', default='panoptic', help='what is trained (panoptic)'
    )
    parser.add_argument(
        '--segments',
        type=int,
        default=10,
        help='segments of each generated image (10)',
    )
    parser.add_argument(
        '--data',
        action='store_true',
        help="take the first batch of the config's own training data",
    )
    parser.add_argument(
        '--count-only',
        action='store_true',
        help='count multiply-adds in one step of each side, time nothing',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, print tables and write JSON."""
    check_out(args.out)
    from freeseg_mm.benchmark.train import TrainBenchmark, TrainOptions

    benchmark = TrainBenchmark(read_options(TrainOptions, args))
    write_out(args.out, benchmark.run())
