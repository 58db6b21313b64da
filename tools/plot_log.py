#!/usr/bin/env python
r"""Draw curves of training logs: losses, rates, metrics of validation.

LOG is a work folder (its newest training; what was resumed is joined), or a
log of mmengine, as work_dirs/NAME/TIME/vis_data/scalars.json.

    python tools/plot_log.py work_dirs/shapes --list
    python tools/plot_log.py work_dirs/shapes --keys loss loss_cls \
        --smooth 0.6 --out loss.png
"""

import argparse
import sys
import warnings
from pathlib import Path

from freeseg_mm.analysis.logs import (
    choose_curves,
    curves_figure,
    known_keys,
    read_run,
)
from freeseg_mm.analysis.results.figures import check_format, save_figure
from freeseg_mm.cli.main import user_errors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('logs', metavar='LOG', type=Path, nargs='+')
    parser.add_argument(
        '--keys', nargs='+', metavar='KEY', help='what to draw of each log'
    )
    parser.add_argument(
        '--legend',
        nargs='+',
        metavar='NAME',
        help='a name for each curve, all keys of the first log first',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='as curves.png or curves.pdf'
    )
    parser.add_argument('--title', default='', help='of the figure')
    parser.add_argument(
        '--smooth',
        type=float,
        default=0.0,
        metavar='WEIGHT',
        help='moving average, from 0 (none, the default) to below 1',
    )
    parser.add_argument(
        '--list', action='store_true', help='print the keys there are'
    )
    args = parser.parse_args()
    if not args.list and not (args.keys and args.out):
        parser.error('give --keys and --out, or --list')
    return args


def run(args: argparse.Namespace) -> None:
    twice = [path for path in args.logs if args.logs.count(path) > 1]
    if twice:
        raise ValueError(f'{twice[0]} is given more than once')
    logs = {str(path): read_run(path) for path in args.logs}
    if args.list:
        print('\n'.join(known_keys(list(logs.values()))))
        return
    check_format(args.out)
    curves = choose_curves(logs, args.keys, args.legend)
    figure = curves_figure(curves, title=args.title, weight=args.smooth)
    save_figure(figure, args.out)
    print(f'curves are in {args.out}')


def main() -> None:
    args = parse_args()
    with (
        user_errors('plot_log'),
        warnings.catch_warnings(record=True) as notes,
    ):
        warnings.simplefilter('always', UserWarning)
        run(args)
    for note in notes:
        print(f'plot_log: {note.message}', file=sys.stderr)


if __name__ == '__main__':
    main()
