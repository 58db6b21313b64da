"""``freeseg-mm bench infer``: what answering an image costs."""

import argparse
from typing import Any

from .bench_arguments import (
    add_common_arguments,
    add_options,
    check_out,
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
    add_common_arguments(parser, image_size=320, batch=1, classes='171')
    parser.add_argument(
        '--checkpoint', metavar='FILE', help='weights; default random ones'
    )
    parser.add_argument(
        '--against',
        metavar='PRESET_OR_CONFIG',
        help="measure this, too: 'reference' or a config file",
    )
    add_options(
        parser,
        '--against-options',
        'entries of --against; without that, of the first side',
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

    benchmark = InferBenchmark(
        InferOptions(
            config=args.config,
            against=args.against,
            checkpoint=args.checkpoint,
            image_size=args.image_size,
            batch=args.batch,
            classes=args.classes,
            queries=args.queries,
            tasks=args.tasks,
            images=args.images,
            runs=args.runs,
            warmup=args.warmup,
            device=args.device,
            cfg_options=args.cfg_options,
            against_options=args.against_options,
            threads=args.threads,
            seed=args.seed,
            measure=args.measure,
        )
    )
    write_out(args.out, benchmark.run())
