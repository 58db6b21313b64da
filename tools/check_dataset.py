#!/usr/bin/env python
"""Look at every file of a config's data sets before a run does.

Each image goes through the pipeline of its loader, each label file is
compared with the JSON files. All that is broken is listed with the reason;
the exit code is 1 if anything is.

    python tools/check_dataset.py configs/freeseg/coco.py --split val
"""

import argparse
import sys
from collections.abc import Sequence

from freeseg_mm.datasets.checking import check_config, summarize
from freeseg_mm.datasets.from_config import (
    LOADERS,
    add_config_arguments,
    read_config,
)
from freeseg_mm.utils.parallel import available_cores


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--split',
        choices=LOADERS,
        help='whose data to look at (default: all that the config has)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=available_cores(),
        help='processes; the outcome is the same (default: %(default)s, all '
        'cores)',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    try:
        outcomes = check_config(
            read_config(args.config, args.cfg_options),
            [args.split] if args.split else None,
            workers=args.workers,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        # str() of a KeyError is its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f'check_dataset: {message}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('check_dataset: interrupted', file=sys.stderr)
        return 130
    for outcome in outcomes:
        print('\n'.join(summarize(outcome)))
    return int(any(outcome.findings for outcome in outcomes))


if __name__ == '__main__':
    sys.exit(main())
