"""``freeseg-mm bench train``: what a training step costs."""

import argparse
from typing import Any

from .bench_arguments import (
    add_common_arguments,
    add_options,
    check_out,
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
    add_common_arguments(parser, image_size=128, batch=2, classes='156')
    parser.add_argument(
        '--against',
        metavar='PRESET_OR_CONFIG',
        help="measure this, too: 'mask2former' or a config file",
    )
    add_options(
        parser,
        '--against-options',
        'entries of --against; without that, of the first side',
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
    parser.add_argument(
        '--rates',
        metavar='FILE',
        help='predict seconds from an earlier --out of the same sides',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, print tables and write JSON."""
    check_out(args.out)
    from freeseg_mm.benchmark.train import TrainBenchmark, TrainOptions

    benchmark = TrainBenchmark(
        TrainOptions(
            config=args.config,
            against=args.against,
            image_size=args.image_size,
            batch=args.batch,
            classes=args.classes,
            task=args.task,
            segments=args.segments,
            data=args.data,
            runs=args.runs,
            warmup=args.warmup,
            count_only=args.count_only,
            rates=args.rates,
            device=args.device,
            cfg_options=args.cfg_options,
            against_options=args.against_options,
            threads=args.threads,
            seed=args.seed,
        )
    )
    write_out(args.out, benchmark.run())
