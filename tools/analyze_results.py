#!/usr/bin/env python
r"""Show the classes, confusions and worst images of a test result.

Of a checkpoint all of it, by one test run; of results that tools/test.py
wrote with --out the scores of classes, at once and without a model.

    python tools/analyze_results.py configs/freeseg/shapes.py \
        work_dirs/shapes/iter_1500.pth --out work_dirs/shapes/analysis
"""

import argparse
from pathlib import Path

from freeseg_mm.analysis.results.report import Extent, analyse
from freeseg_mm.cli.main import user_errors
from freeseg_mm.utils.run_config import add_config_arguments, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        'source',
        metavar='CHECKPOINT|RESULTS',
        type=Path,
        help='weights (.pth), or the .json of tools/test.py --out',
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder of index.md and its files',
    )
    usual = Extent()
    for name, kind, default, what in (
        ('--topk', int, usual.worst, 'worst images of each task to draw'),
        ('--max-classes', int, usual.classes, 'rows of the confusion picture'),
        ('--mistakes', int, usual.mistakes, 'largest confusions to list'),
        (
            '--show-score-thr',
            float,
            usual.score_thr,
            'instances that score lower are not shown',
        ),
    ):
        parser.add_argument(
            name, type=kind, default=default, help=f'{what} ({default})'
        )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with user_errors('analyze_results'):
        page = analyse(
            read_config(args.config, args.cfg_options),
            args.source,
            args.out,
            config_path=args.config,
            options=args.cfg_options,
            extent=Extent(
                worst=args.topk,
                classes=args.max_classes,
                mistakes=args.mistakes,
                score_thr=args.show_score_thr,
            ),
        )
        print(f'open {page}')


if __name__ == '__main__':
    main()
