#!/usr/bin/env python
"""Import your own data: one split of it, once for train and once for val.

    panoptic    a COCO-panoptic JSON with its PNGs
    semantic    a folder of label PNGs and a list of classes
    instances   a COCO instances JSON
    vocabulary  nothing; checks a vocabulary JSON

OUT gets the format every data set has, and a vocabulary.json with your
classes, which you may edit. All classes count as seen unless --unseen names
some. Images are linked, not copied. Nothing that is there already is made
again. `import_dataset.py panoptic --help` shows the options of an import;
docs/own_data.md goes on from there to a training run.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from freeseg_mm.datasets.preparation.command import (
    add_workers,
    run_command,
    show_labels,
)
from freeseg_mm.datasets.preparation.own_coco import (
    import_instances,
    import_panoptic,
)
from freeseg_mm.datasets.preparation.own_data import (
    ImportOptions,
    import_semantic,
)
from freeseg_mm.structures import Vocabulary


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest='kind', required=True)
    panoptic, semantic, instances = (
        kinds.add_parser(kind)
        for kind in ('panoptic', 'semantic', 'instances')
    )
    for kind in (panoptic, semantic, instances):
        kind.add_argument('target', metavar='OUT', type=Path)
        kind.add_argument(
            '--split', default='train', help='its name (default: %(default)s)'
        )
        kind.add_argument(
            '--images', type=Path, required=True, help='folder of the images'
        )
        kind.add_argument(
            '--unseen',
            nargs='+',
            metavar='NAME',
            help='classes that training may not use (default: none)',
        )
        kind.add_argument(
            '--copy', action='store_true', help='copy images, do not link'
        )
        add_workers(kind)
    for kind in (panoptic, instances):
        kind.add_argument(
            '--json', type=Path, required=True, help='the annotations'
        )
    panoptic.add_argument(
        '--pngs', type=Path, required=True, help='folder of its PNGs'
    )
    semantic.add_argument(
        '--masks',
        type=Path,
        required=True,
        help='folder of 8-bit PNGs with the names of the images',
    )
    semantic.add_argument(
        '--classes',
        type=Path,
        required=True,
        help='text file, one name a line in the order of the labels, or a '
        'vocabulary JSON',
    )
    semantic.add_argument(
        '--first-label',
        type=int,
        default=0,
        help='label of the first class, smaller ones are ignored (default: '
        '%(default)s)',
    )
    semantic.add_argument(
        '--ignore-label',
        type=int,
        default=255,
        help='label that is ignored (default: %(default)s)',
    )
    for kind, default in (
        (panoptic, 'as the JSON says'),
        (semantic, 'as a JSON says, else none'),
    ):
        kind.add_argument(
            '--things',
            nargs='+',
            metavar='NAME',
            help=f'classes that can be counted (default: {default})',
        )
    rest = instances.add_mutually_exclusive_group()
    rest.add_argument(
        '--rest',
        default='background',
        metavar='NAME',
        help='stuff class of what no object covers (default: %(default)s)',
    )
    rest.add_argument(
        '--ignore-rest',
        action='store_true',
        help='ignore what no object covers: not all objects are annotated',
    )
    vocabulary = kinds.add_parser('vocabulary')
    vocabulary.add_argument('file', metavar='JSON', type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    action = check_vocabulary if args.kind == 'vocabulary' else import_split
    return run_command('import_dataset', partial(action, args))


def check_vocabulary(args: argparse.Namespace) -> None:
    words = Vocabulary.load(args.file)
    print(
        f'{args.file}: {len(words)} classes, {sum(words.is_thing)} of them '
        f'things, {len(words) - sum(words.is_seen)} unseen, '
        f'{len(words.prompts) - len(words)} synonyms'
    )


def import_split(args: argparse.Namespace) -> None:
    options = ImportOptions(
        target=args.target,
        split=args.split,
        unseen=args.unseen,
        workers=args.workers,
        copy=args.copy,
    )

    if args.kind == 'panoptic':
        part = import_panoptic(
            options,
            images=args.images,
            json_path=args.json,
            pngs=args.pngs,
            things=args.things,
        )
    elif args.kind == 'semantic':
        part = import_semantic(
            options,
            images=args.images,
            masks=args.masks,
            classes=args.classes,
            things=args.things,
            first_label=args.first_label,
            ignore_label=args.ignore_label,
        )
    else:
        part = import_instances(
            options,
            images=args.images,
            json_path=args.json,
            rest=None if args.ignore_rest else args.rest,
        )
    print('\n'.join(show_labels(part)))


if __name__ == '__main__':
    sys.exit(main())
