#!/usr/bin/env python
"""Prepare COCO 2017: 171 classes from COCO panoptic and COCO-Stuff.

SRC is the public download:

    SRC/train2017/*.jpg, SRC/val2017/*.jpg
    SRC/annotations/instances_{train,val}2017.json
    SRC/annotations/panoptic_{train,val}2017.json
    SRC/annotations/panoptic_{train,val}2017/*.png
    SRC/stuffthingmaps/{train,val}2017/*.png

OUT is what the configs expect under data/coco_stuff171: panoptic truth and
semantic maps over 171 classes, and links to images and instances JSON.
Nothing that is there already is made again, so an interrupted run can be
repeated.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from freeseg_mm.datasets.preparation.coco import PreparedSplit, prepare_coco
from freeseg_mm.datasets.preparation.coco_report import summarise
from freeseg_mm.datasets.preparation.coco_source import NUM_IMAGES
from freeseg_mm.datasets.preparation.parallel import available_cores


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', metavar='SRC', type=Path)
    parser.add_argument('target', metavar='OUT', type=Path)
    parser.add_argument(
        '--workers',
        type=int,
        default=available_cores(),
        help='processes; the result is the same (default: %(default)s, all '
        'cores)',
    )
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=list(NUM_IMAGES),
        default=list(NUM_IMAGES),
        help='default: both',
    )
    parser.add_argument(
        '--subset',
        action='store_true',
        help='accept another number of images than the official 118,287 and '
        '5,000',
    )
    parser.add_argument(
        '--copy',
        action='store_true',
        help='copy images and instances JSON instead of linking to SRC',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    try:
        prepared = prepare_coco(
            args.source,
            args.target,
            splits=args.splits,
            workers=args.workers,
            copy=args.copy,
            subset=args.subset,
        )
    except (OSError, ValueError) as error:
        print(f'prepare_coco: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('prepare_coco: interrupted; run it again to go on')
        return 130
    for part in prepared:
        print_split(part)
    return 0


def print_split(part: PreparedSplit) -> None:
    print('\n'.join(summarise(part.report)))
    if part.num_unlisted:
        print(f'  {part.num_unlisted} image files are not in the JSON: unused')
    if not part.num_written:
        print('  nothing to do: all annotations were there already')


if __name__ == '__main__':
    sys.exit(main())
