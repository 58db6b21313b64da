"""``freeseg-mm bench infer``: what answering an image costs."""

import argparse
from typing import Any

from .bench_arguments import (
    add_common_arguments,
    check_out,
    read_options,
    write_out,
)


def add_parser(commands: Any) -> None:
    """Add ``infer`` to the measurements."""
    parser = commands.add_parser(
        'infer',
        help='cost of answering a batch of images, part by part',
        description=(
            'Count, then time what answering a batch takes, part by part, '
            "next to another config or the flow of the authors' release "
            '(--against reference). Weights are random unless given.'
        ),
    )
    add_common_arguments(
        parser, image_size=320, batch=1, classes='171', preset='reference'
    )
    parser.add_argument(
        '--checkpoint', metavar='FILE', help='weights; default random ones'
    )
    parser.add_argument(
        '--queries', type=int, metavar='N', help='mask proposals'
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help='semantic, instance, panoptic; default as configured',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=['random'],
        metavar='FILE',
        help="image files, or 'random' (default)",
    )
    parser.add_argument(
        '--measure',
        nargs='+',
        default=['counts', 'macs', 'seconds', 'peak_bytes'],
        metavar='KIND',
        help='some of counts, macs, seconds, peak_bytes; default all',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, print tables and write JSON."""
    check_out(args.out)
    from freeseg_mm.benchmark.infer import InferBenchmark, InferOptions

    benchmark = InferBenchmark(read_options(InferOptions, args))
    write_out(args.out, benchmark.run())
