"""``freeseg-mm bench metrics``: what evaluating costs."""

import argparse
from pathlib import Path
from typing import Any

from .bench_arguments import add_options, check_out, write_out


def add_parser(commands: Any) -> None:
    """Add ``metrics`` to the measurements."""
    parser = commands.add_parser(
        'metrics',
        help='time of the three metrics next to the stock ones',
        description=(
            'Time the metrics of a config next to mmseg.IoUMetric, '
            'mmdet.CocoMetric and mmdet.CocoPanopticMetric, on the same '
            'predictions: the truth, shaken. No network, no weights.'
        ),
    )
    parser.add_argument('config', help='config file')
    for name, default, what in (
        ('--images', 100, 'first images of the test set'),
        ('--rounds', 3, 'how often; the median counts'),
        ('--objects', 100, 'instances predicted in an image'),
        ('--seed', 0, 'seed of the predictions'),
    ):
        parser.add_argument(
            name, type=int, default=default, help=f'{what} ({default})'
        )
    add_options(parser, '--cfg-options', 'entries of the config')
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='write JSON to this file'
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, print a table and write JSON."""
    check_out(args.out)
    from freeseg_mm.benchmark.metrics import table, time_metrics
    from freeseg_mm.datasets.from_config import read_config

    result = time_metrics(
        read_config(args.config, args.cfg_options),
        images=args.images,
        rounds=args.rounds,
        objects=args.objects,
        seed=args.seed,
    )
    print(table(result))
    write_out(args.out, result)
