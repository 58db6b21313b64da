"""``freeseg-mm prepare``, ``import`` and ``check``: data for a run."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeseg_mm.utils.run_config import add_config_arguments, read_config

from .arguments import (
    LOADERS,
    CommandParser,
    add_command,
    add_fields,
    add_group,
    add_workers,
    read_options,
)

if TYPE_CHECKING:
    from freeseg_mm.datasets.preparation.split_preparation import PreparedSplit

    Prepare = Callable[..., Sequence[PreparedSplit]]

_AGAIN = """\
Nothing that is there already is made again, so an interrupted run can be
repeated.
"""
_COCO = f"""\
Prepare COCO 2017: 171 classes from COCO panoptic and COCO-Stuff.

SRC is the public download:

    SRC/train2017/*.jpg, SRC/val2017/*.jpg
    SRC/annotations/instances_{{train,val}}2017.json
    SRC/annotations/panoptic_{{train,val}}2017.json
    SRC/annotations/panoptic_{{train,val}}2017/*.png
    SRC/stuffthingmaps/{{train,val}}2017/*.png

OUT is what the configs expect under data/coco_stuff171: panoptic ground truth
and semantic maps over 171 classes, and links to images and instances JSON.
Where SRC has no folder annotations at all, stuffthingmaps alone make a
dataset for semantic segmentation.
{_AGAIN}"""
_ADE20K = f"""\
Prepare ADE20K (SceneParse-150): 150 classes, 100 of them things.

SRC is the public download, or the folder it was unpacked in:

    SRC/ADEChallengeData2016/images/{{training,validation}}/*.jpg
    SRC/ADEChallengeData2016/annotations/{{training,validation}}/*.png
    SRC/ADEChallengeData2016/annotations_instance/{{training,validation}}/*.png
    SRC/ADEChallengeData2016/categoryMapping.txt

The last two come in an archive of their own. Without them nothing tells
objects apart and the result serves for semantic segmentation only; without
the table the things are taken in the order of the 150 classes.

OUT is what the configs expect under data/ade20k150.
{_AGAIN}"""
_VOC = f"""\
Prepare PASCAL VOC 2012 with SBD's augmented masks: 20 classes, semantic.

SRC is the public download, or the folder it was unpacked in:

    SRC/VOCdevkit/VOC2012/JPEGImages/*.jpg
    SRC/VOCdevkit/VOC2012/SegmentationClassAug/*.png  (or SegmentationClass)
    SRC/VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt (or trainaug)
    SRC/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt

OUT is what the configs expect under data/voc20; background is ignored.
{_AGAIN}"""
_CITYSCAPES = f"""\
Prepare Cityscapes: 19 classes, 8 of them things.

SRC is the public download (gtFine_trainvaltest, leftImg8bit_trainvaltest):

    SRC/leftImg8bit/{{train,val}}/CITY/*_leftImg8bit.png
    SRC/gtFine/{{train,val}}/CITY/*_gtFine_instanceIds.png

OUT is what configs/transfer expects under data/cityscapes. Names are yours
to choose: a vocabulary.json that lies in OUT before is kept, if it has the
same things.
{_AGAIN}"""
_MAPILLARY = f"""\
Prepare Mapillary Vistas, labels of version 1.2: 65 classes, 37 of them things.

SRC is the public download:

    SRC/{{training,validation}}/images/*.jpg
    SRC/{{training,validation}}/v1.2/instances/*.png  (or instances/*.png)
    SRC/config_v1.2.json                            (or config.json)

OUT is what configs/transfer expects under data/mapillary. Names are yours to
choose: a vocabulary.json that lies in OUT before is kept, if it has the same
things.
{_AGAIN}"""
_MAPILLARY_2 = f"""\
Prepare Mapillary Vistas, labels of version 2.0: the classes it evaluates.

SRC is the public download:

    SRC/{{training,validation}}/images/*.jpg
    SRC/{{training,validation}}/v2.0/instances/*.png
    SRC/config_v2.0.json

Names are yours to choose: a vocabulary.json that lies in OUT before is kept,
if it has the same things.
{_AGAIN}"""
_LVIS = f"""\
Prepare LVIS v1: 1,203 classes, instance segmentation.

SRC is COCO's download with LVIS's JSON files, there or in annotations/. The
images of either split lie in both of COCO's folders:

    SRC/train2017/*.jpg, SRC/val2017/*.jpg
    SRC/lvis_v1_{{train,val}}.json

OUT is what configs/transfer expects under data/lvis. Names are yours to
choose: a vocabulary.json of 1,203 things that lies in OUT before is kept.
{_AGAIN}"""
_IMPORT = """\
Import one split of your own data, once for train and once for val.

OUT gets the format every dataset has, and a vocabulary.json with your
classes, which you may edit. All classes count as seen unless --unseen names
some. Images are linked, not copied. Nothing that is there already is made
again. docs/own_data.md goes on from there to a training run.
"""
_CHECK = """\
Look at every file of a config's datasets before a run does.

Each image goes through the pipeline of its loader, each label file is
compared with the JSON files. All that is broken is listed with the reason;
the exit status is 1 if anything is.

    freeseg-mm check configs/freeseg/coco.py --split val
"""


def add_parser(commands: Any) -> None:
    """Add ``prepare``, ``import`` and ``check`` to the subcommands."""
    downloads = add_group(
        commands, 'prepare', help='put a public download in our format'
    )
    for name, text, download in (
        ('coco', _COCO, _coco),
        ('ade20k', _ADE20K, _ade20k),
        ('voc', _VOC, _voc),
        ('cityscapes', _CITYSCAPES, _cityscapes),
        ('mapillary', _MAPILLARY, partial(_mapillary, 'v1.2')),
        ('mapillary2', _MAPILLARY_2, partial(_mapillary, 'v2.0')),
        ('lvis', _LVIS, _lvis),
    ):
        add_command(
            downloads,
            name,
            help=text.splitlines()[0],
            text=text,
            layout=partial(_lay_out_prepare, download),
            run=partial(run_prepare, download),
            goes_on=True,
        )
    imports = add_group(commands, 'import', help='import your own data')
    for name, what in (
        ('panoptic', 'a COCO-panoptic JSON with its PNGs'),
        ('semantic', 'a folder of label PNGs and a list of classes'),
        ('instances', 'a COCO instances JSON'),
    ):
        add_command(
            imports,
            name,
            help=what,
            text=f'{_IMPORT}\nThe annotations are {what}.',
            layout=partial(_lay_out_import, name),
            run=partial(run_import, name),
            goes_on=True,
        )
    add_command(
        commands,
        'check',
        help="look at every file of a config's datasets",
        text=_CHECK,
        layout=_lay_out_check,
        run=run_check,
    )


def _coco() -> tuple[Mapping[str, int], 'Prepare']:
    from freeseg_mm.datasets.preparation.coco import NUM_IMAGES, prepare_coco

    return NUM_IMAGES, prepare_coco


def _ade20k() -> tuple[Mapping[str, int], 'Prepare']:
    from freeseg_mm.datasets.preparation.ade20k import (
        NUM_IMAGES,
        prepare_ade20k,
    )

    return NUM_IMAGES, prepare_ade20k


def _voc() -> tuple[Mapping[str, int], 'Prepare']:
    from freeseg_mm.datasets.preparation.voc import NUM_IMAGES, prepare_voc

    return NUM_IMAGES, prepare_voc


def _cityscapes() -> tuple[Mapping[str, int], 'Prepare']:
    from freeseg_mm.datasets.preparation import street_scenes

    return street_scenes.CITYSCAPES_IMAGES, street_scenes.prepare_cityscapes


def _mapillary(version: str) -> tuple[Mapping[str, int], 'Prepare']:
    from freeseg_mm.datasets.preparation import street_scenes

    return (
        street_scenes.MAPILLARY_IMAGES,
        partial(street_scenes.prepare_mapillary, version=version),
    )


def _lvis() -> tuple[Mapping[str, int], 'Prepare']:
    from freeseg_mm.datasets.preparation.lvis import NUM_IMAGES, prepare_lvis

    return NUM_IMAGES, prepare_lvis


Download = Callable[[], 'tuple[Mapping[str, int], Prepare]']
"""Gives the official number of images by split, and the function."""


def _lay_out_prepare(download: Download, parser: CommandParser) -> None:
    num_images, _ = download()
    parser.add_argument('source', metavar='SRC', type=Path)
    parser.add_argument('target', metavar='OUT', type=Path)
    add_workers(parser)
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=list(num_images),
        default=list(num_images),
        help='default: both',
    )
    official = ' and '.join(f'{count:,}' for count in num_images.values())
    parser.add_argument(
        '--subset',
        action='store_true',
        help=f'accept another number of images than the official {official}',
    )
    parser.add_argument(
        '--copy',
        action='store_true',
        help='copy what is linked to SRC otherwise',
    )


def run_prepare(download: Download, args: argparse.Namespace) -> None:
    """Prepare the splits and say what became of each."""
    _, prepare = download()
    for part in prepare(
        args.source,
        args.target,
        splits=args.splits,
        workers=args.workers,
        copy=args.copy,
        subset=args.subset,
    ):
        _show(part)


def _show(part: 'PreparedSplit') -> None:
    print('\n'.join(part.summary))
    if not part.num_written:
        print('  nothing to do: all annotations were there already')


def _lay_out_import(kind: str, parser: CommandParser) -> None:
    from freeseg_mm.datasets.preparation.own_data import ImportOptions

    parser.add_argument('target', metavar='OUT', type=Path)
    required = partial(parser.add_argument, type=Path, required=True)
    required('--images', help='folder of the images')
    if kind == 'semantic':
        required(
            '--masks',
            help='folder of PNGs or TIFFs, 8 or 16 bits, named as the images',
        )
        required(
            '--classes',
            help='text file, one name a line in the order of the labels, or '
            'a vocabulary JSON',
        )
        parser.add_argument(
            '--list',
            type=Path,
            metavar='FILE',
            help='text file, one image a line, of those to import (default: '
            'all)',
        )
        for name, default, text in (
            ('first', 0, 'the first class, smaller ones are ignored (0)'),
            ('ignore', None, 'pixels that are ignored (255 or 65535)'),
        ):
            parser.add_argument(
                f'--{name}-label',
                type=int,
                metavar='N',
                default=default,
                help=f'label of {text}',
            )
    else:
        required('--json', help='the annotations')
    if kind == 'panoptic':
        required('--pngs', help='folder of its PNGs')
    if kind == 'instances':
        rest = parser.add_mutually_exclusive_group()
        rest.add_argument(
            '--rest',
            default='background',
            metavar='NAME',
            help='stuff class of what no object covers (default: %(default)s)',
        )
        rest.add_argument(
            '--ignore-rest',
            action='store_const',
            const=None,
            dest='rest',
            help='ignore what no object covers: not all objects are annotated',
        )
    else:
        parser.add_argument(
            '--things',
            nargs='+',
            metavar='NAME',
            help='classes that can be counted (default: as a JSON says, else '
            'none)',
        )
    add_fields(parser, ImportOptions, ('split', 'unseen', 'copy'))
    add_workers(parser)


def run_import(kind: str, args: argparse.Namespace) -> None:
    """Import a split and say what it serves for."""
    from freeseg_mm.datasets.preparation.own_coco import (
        import_instances,
        import_panoptic,
    )
    from freeseg_mm.datasets.preparation.own_data import (
        ImportOptions,
        import_semantic,
    )

    options = read_options(ImportOptions, args)
    if kind == 'panoptic':
        part = import_panoptic(
            options,
            images=args.images,
            json_path=args.json,
            pngs=args.pngs,
            things=args.things,
        )
    elif kind == 'semantic':
        part = import_semantic(
            options,
            images=args.images,
            masks=args.masks,
            classes=args.classes,
            things=args.things,
            names=args.list,
            first_label=args.first_label,
            ignore_label=args.ignore_label,
        )
    else:
        part = import_instances(
            options, images=args.images, json_path=args.json, rest=args.rest
        )
    _show(part)


def _lay_out_check(parser: CommandParser) -> None:
    add_config_arguments(parser)
    parser.add_argument(
        '--split',
        choices=LOADERS,
        help='whose data to look at (default: all that the config has)',
    )
    add_workers(parser)


def run_check(args: argparse.Namespace) -> int:
    """List what is broken; 1 if anything is."""
    from freeseg_mm.datasets.checking import check_config, summarize

    outcomes = check_config(
        read_config(args.config, args.cfg_options),
        [args.split] if args.split else None,
        workers=args.workers,
    )
    for outcome in outcomes:
        print('\n'.join(summarize(outcome)))
    return int(any(outcome.findings for outcome in outcomes))
