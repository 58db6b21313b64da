#!/usr/bin/env python
"""Print Tables 1-7 of the paper with our results beside them.

RESULTS are files that tools/test.py wrote with --out, or metrics.json of the
demo. A result is put where its config is a row of a table (configs/tables);
results of other configs get a table of their own. Without results the tables
hold the paper's numbers alone.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from freeseg_mm.analysis.paper_tables import (
    TABLES,
    csv_report,
    load_rows,
    markdown_report,
    read_results,
)

ROWS = Path(__file__).resolve().parents[1] / 'configs' / 'tables'
FORMATS = {'markdown': markdown_report, 'csv': csv_report}


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('results', metavar='RESULTS', type=Path, nargs='*')
    parser.add_argument(
        '--format',
        choices=list(FORMATS),
        default='markdown',
        help='default: %(default)s',
    )
    parser.add_argument(
        '--out', type=Path, help='write to this file, not to the screen'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    try:
        results = [
            result for path in args.results for result in read_results(path)
        ]
        report = FORMATS[args.format](TABLES, load_rows(ROWS), results)
        if args.out is None:
            print(report, end='')
        else:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(report, 'utf-8')
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
