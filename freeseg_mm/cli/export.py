"""``freeseg-mm export``: a network as ONNX or TorchScript."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .arguments import (
    TASKS,
    add_class_arguments,
    add_model_arguments,
    classes_of,
    inferencer_of,
    marks_of,
)

EXAMPLES = """examples:
  freeseg-mm export --classes 'cat, dog, grass' --out exported
  freeseg-mm export --vocab coco --text-input --out exported --check photos/
  freeseg-mm export --classes 'dragon' --words-only --out dragon

The folder holds model.onnx (or model.pt), model.json and words.json; to run
it, freeseg_mm.export.Runtime needs numpy and onnxruntime alone. Exit status:
0; 1 after saying what was wrong, also if --check finds more than 0.1 % of the
pixels or a score by 0.001 different; 2 for wrong usage.
"""
_PIXELS, _SCORE = 0.999, 1e-3


def add_parser(commands: Any) -> None:
    """Add ``export`` to the subcommands."""
    parser = commands.add_parser(
        'export',
        help='write a network as ONNX or TorchScript',
        description='Write a network and its words as files that run without '
        'OpenMMLab.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    parser.set_defaults(run=run, prompt_tuning=None, max_side=2048)


def run(args: argparse.Namespace) -> int:
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
