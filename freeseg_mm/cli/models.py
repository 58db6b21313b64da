"""``freeseg-mm models`` and ``export``: weights in, networks as files out."""

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeseg_mm.utils.run_config import add_options

from .arguments import (
    TASKS,
    CommandParser,
    add_class_arguments,
    add_command,
    add_group,
    add_model_arguments,
    classes_of,
    inferencer_of,
    marks_of,
)

if TYPE_CHECKING:
    from freeseg_mm.zoo.models import ZooModel

_LIST = """\
List public weights: what their authors report, and which are here already.

examples:
  freeseg-mm models list
  freeseg-mm models get fcclip_convnext_large
  freeseg-mm predict photo.jpg --config fcclip_convnext_large \\
      --classes 'cat|kitten, dragon, lawn' --out results

Figures are those of their authors, PQ / AP / mIoU; none was measured here.
"""
_SHOW = 'Show all that is known of some weights.'
_GET = """\
Fetch weights and convert them, once; then their name is a model.

They lie below ~/.cache/freeseg_mm, or FREESEG_MM_HOME. A download that broke
is gone on with. Where no SHA-256 of a file is published, the one found is
printed, to compare with.
"""
_CONVERT = """\
Convert a checkpoint of another system to one of ours.

Nothing that it holds is run. Every parameter must have a place, and every
parameter of the config's model be given: names that differ are listed.

example, the release of FreeSeg's authors:
  freeseg-mm models convert release.pth --layout released \\
      --config configs/freeseg/coco_released.py --out work_dirs/released.pth
"""
_EXPORT = """\
Write a network and its words as files that run without OpenMMLab.

examples:
  freeseg-mm export --classes 'cat, dog, grass' --out exported
  freeseg-mm export --vocab coco --text-input --out exported --check photos/
  freeseg-mm export --classes 'dragon' --words-only --out dragon

The folder holds model.onnx (or model.pt), model.json and words.json; to run
it, freeseg_mm.export.Runtime needs numpy and onnxruntime alone. Exit status:
0; 1 after saying what was wrong, also if --check finds more than 0.1 % of the
pixels or a score by 0.001 different; 2 for wrong usage.
"""
_PIXELS, _SCORE = 0.999, 1e-3  # least agreement, largest difference
_DATASETS = ('ade20k', 'coco')
_METRICS = ('PQ', 'AP', 'mIoU')


def add_parser(commands: Any) -> None:
    """Add ``models`` and what it can do, and ``export``."""
    actions = add_group(
        commands, 'models', help='fetch and convert public weights'
    )
    add_command(
        actions,
        'list',
        help='the models there are',
        text=_LIST,
        layout=_lay_out_list,
        run=run_list,
    )
    add_command(
        actions,
        'show',
        help='all that is known of one',
        text=_SHOW,
        layout=_lay_out_show,
        run=run_show,
    )
    add_command(
        actions,
        'get',
        help='fetch one and convert it',
        text=_GET,
        layout=_lay_out_get,
        run=run_get,
        goes_on=True,
    )
    add_command(
        actions,
        'convert',
        help='convert a checkpoint of another system',
        text=_CONVERT,
        layout=_lay_out_convert,
        run=run_convert,
    )
    add_command(
        commands,
        'export',
        help='write a network as ONNX or TorchScript',
        text=_EXPORT,
        layout=_lay_out_export,
        run=run_export,
    )


def _lay_out_list(parser: CommandParser) -> None:
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        '--json', action='store_true', help='print JSON instead'
    )
    kinds.add_argument(
        '--markdown', action='store_true', help='print a table for a document'
    )


def run_list(args: argparse.Namespace) -> None:
    """Print a table of the models."""
    from rich import box
    from rich.table import Table

    from freeseg_mm.utils.text_table import render_table
    from freeseg_mm.zoo.models import zoo_models

    models = list(zoo_models())
    if args.json:
        print(json.dumps([_facts(model) for model in models]))
        return
    heads = ['name', 'ADE20K', 'COCO', 'licence', 'weights of']
    if not args.markdown:
        heads.append('here')
    table = Table(*heads, box=box.MARKDOWN if args.markdown else box.SIMPLE)
    for model in models:
        cells = [model.name, *(_figures(model, name) for name in _DATASETS)]
        cells += [model.licence, model.source]
        if not args.markdown:
            cells.append('yes' if model.checkpoint.is_file() else '')
        table.add_row(*cells)
    print(render_table(table).strip('\n'))


def _figures(model: 'ZooModel', dataset: str) -> str:
    """Format percentages on a dataset as ``26.8 / 16.8 / 34.1``."""
    reported = model.reported.get(dataset)
    if not reported:
        return ''
    figures = [reported.get(metric, '-') for metric in _METRICS]
    while figures[-1] == '-':
        figures.pop()
    return ' / '.join(map(str, figures))


def _facts(model: 'ZooModel') -> dict[str, Any]:
    from dataclasses import asdict

    from freeseg_mm.zoo.models import zoo_facts

    facts = asdict(model)
    facts['config_file'] = str(model.config_file)
    is_here = model.checkpoint.is_file()
    facts['checkpoint'] = str(model.checkpoint) if is_here else None
    if is_here:
        facts['sha256'] = zoo_facts(model.checkpoint)['sha256']
    return facts


def _lay_out_show(parser: CommandParser) -> None:
    parser.add_argument('name', metavar='NAME', help='of `models list`')
    parser.add_argument(
        '--json', action='store_true', help='print JSON instead'
    )


def run_show(args: argparse.Namespace) -> None:
    """Print the facts of a model, one a line."""
    from freeseg_mm.zoo.models import find_zoo_model

    facts = _facts(find_zoo_model(args.name))
    if args.json:
        print(json.dumps(facts))
        return
    facts['reported'] = (
        ', '.join(
            f'{dataset} {metric} {figure}'
            for dataset, figures in facts['reported'].items()
            for metric, figure in figures.items()
        )
        or None
    )
    facts['checkpoint'] = facts['checkpoint'] or (
        f'not here: freeseg-mm models get {args.name}'
    )
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = 'none published' if value is None else value
        print(f'{name.replace("_", " "):{width}}  {shown}')


def _lay_out_get(parser: CommandParser) -> None:
    parser.add_argument('name', metavar='NAME', help='of `models list`')
    parser.add_argument(
        '--from',
        dest='file',
        type=Path,
        metavar='FILE',
        help='the file of its weights, where it is on this machine already',
    )


def run_get(args: argparse.Namespace) -> None:
    """Fetch and convert a model, and say where it is."""
    from freeseg_mm.utils.scopes import quiet_logger
    from freeseg_mm.zoo.models import find_zoo_model

    model = find_zoo_model(args.name)
    # mmengine logs to standard output
    with redirect_stdout(sys.stderr), quiet_logger('WARNING'):
        digest = model.get(args.file)
    if model.sha256 is None:
        print(
            f'SHA-256 of {args.file or model.file}: {digest} (none is '
            'published to compare it with)',
            file=sys.stderr,
        )
    print(f'wrote {model.checkpoint}', file=sys.stderr)


def _lay_out_convert(parser: CommandParser) -> None:
    from freeseg_mm.zoo.layouts import LAYOUTS

    parser.add_argument('file', metavar='FILE', type=Path, help='checkpoint')
    parser.add_argument(
        '--layout', choices=LAYOUTS, required=True, help='whose names it has'
    )
    parser.add_argument(
        '--config', required=True, help='config of the model for it'
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='checkpoint to write'
    )
    add_options(parser, '--cfg-options', 'entries of the config')


def run_convert(args: argparse.Namespace) -> None:
    """Convert a file."""
    from freeseg_mm.utils.run_config import read_config
    from freeseg_mm.utils.scopes import quiet_logger
    from freeseg_mm.zoo.models import convert_file

    config = read_config(args.config, args.cfg_options)
    with redirect_stdout(sys.stderr), quiet_logger('WARNING'):
        convert_file(args.file, args.layout, config, args.out)
    print(f'wrote {args.out}', file=sys.stderr)


def _lay_out_export(parser: CommandParser) -> None:
    add_class_arguments(parser)
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder to write',
    )
    parser.add_argument(
        '--format', choices=('onnx', 'torchscript'), default='onnx'
    )
    parser.add_argument(
        '--text-input',
        action='store_true',
        help='text embeddings are an input, so that the classes may change',
    )
    parser.add_argument(
        '--words-only',
        action='store_true',
        help='write classes for a network exported with --text-input',
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        choices=TASKS,
        metavar='TASK',
        help=f'{", ".join(TASKS)}; default as configured',
    )
    parser.add_argument(
        '--check',
        nargs='+',
        metavar='IMAGE',
        help='predict these with PyTorch and with what was written, and print '
        'how far they agree and the time of both',
    )
    add_model_arguments(parser)
    parser.set_defaults(prompt_tuning=None, max_side=2048)


def run_export(args: argparse.Namespace) -> int:
    """Export, and compare if asked to."""
    from freeseg_mm.apis import exporting
    from freeseg_mm.apis.inputs import list_images, read_image
    from freeseg_mm.export import Runtime

    if args.device not in (None, 'cpu'):
        raise ValueError(
            f'--device {args.device}: networks are exported on the cpu'
        )
    if args.check and args.words_only:
        raise ValueError('--check needs a network; leave --words-only out')
    images = list_images(args.check) if args.check else []
    args.device = 'cpu'
    inferencer = inferencer_of(args)
    vocabulary = inferencer.vocabulary(classes_of(args), **marks_of(args))
    inferencer.options = inferencer.options.override(tasks=args.tasks)
    exporting.export_network(
        inferencer,
        vocabulary,
        args.out,
        format=args.format,
        text_input=args.text_input,
        words_only=args.words_only,
    )
    print(f'wrote {args.out}', file=sys.stderr)
    if not images:
        return 0
    network = None
    if args.format == 'torchscript':
        path = args.out / exporting.TORCHSCRIPT_FILE
        network = exporting.torchscript_network(path)
    differs = 0
    for found in exporting.compare_networks(
        inferencer,
        Runtime(args.out, network=network),
        vocabulary,
        (read_image(image, index) for index, image in enumerate(images)),
    ):
        is_far = found.pixels < _PIXELS or found.scores > _SCORE
        differs += is_far
        print(
            f'{found.source}: {100 * found.pixels:.3f} % of the pixels, '
            f'{found.objects} objects, scores within {found.scores:.1e}; '
            f'PyTorch {found.seconds[0]:.2f} s, exported '
            f'{found.seconds[1]:.2f} s{" DIFFERS" * is_far}'
        )
    return int(differs > 0)
