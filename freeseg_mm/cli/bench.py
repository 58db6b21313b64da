"""``freeseg-mm bench``: counts first, then time, as ratios of one run."""

import argparse
import json
from pathlib import Path
from typing import Any

from freeseg_mm.utils.run_config import add_options

from .arguments import read_options


def add_common_arguments(
    parser: argparse.ArgumentParser,
    *,
    image_size: int,
    batch: int,
    classes: str,
    preset: str,
) -> None:
    """Add what every measurement of a model takes; defaults are given."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--image-size',
        type=int,
        default=image_size,
        metavar='S',
        help=f'longer side of the images (default {image_size})',
    )
    parser.add_argument(
        '--batch',
        type=int,
        default=batch,
        metavar='B',
        help=f'images at once (default {batch})',
    )
    parser.add_argument(
        '--classes',
        default=classes,
        metavar='K',
        help='number of generated names, or a vocabulary by name or file '
        f'(default {classes})',
    )
    for name, default, what in (
        ('--runs', 3, 'timed runs; their median counts'),
        ('--warmup', 1, 'runs before them'),
        ('--seed', 0, 'seed of weights and images'),
    ):
        parser.add_argument(
            name, type=int, default=default, help=f'{what} ({default})'
        )
    parser.add_argument('--device', help='default: cuda if there is one')
    parser.add_argument('--threads', type=int, help='CPU threads')
    add_options(parser, '--cfg-options', 'entries of the config')
    parser.add_argument(
        '--against',
        metavar='PRESET_OR_CONFIG',
        help=f"measure this, too: '{preset}' or a config file",
    )
    add_options(
        parser,
        '--against-options',
        'entries of --against; without that, of the first side',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='write JSON to this file'
    )


def check_out(path: Path | None) -> None:
    """Refuse a name that nothing could be written to in the end.

    Raises:
        ValueError: If it does not end in ``.json``.
        FileNotFoundError: If its folder does not exist.
    """
    if path is None:
        return
    if path.suffix != '.json':
        raise ValueError(f'--out {path}: expected a name ending in .json')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'--out {path}: no folder {path.parent}')


def write_out(path: Path | None, result: dict[str, Any]) -> None:
    """Write what was measured."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + '\n')


def _add_infer(commands: Any) -> None:
    """Add ``infer`` to the measurements."""
    parser = commands.add_parser(
        'infer',
        help='cost of predicting a batch of images, part by part',
        description=(
            'Count, then time what predicting a batch takes, part by part, '
            "next to another config or the flow of the authors' release "
            '(--against reference). Weights are random unless given.'
        ),
    )
    add_common_arguments(
        parser, image_size=320, batch=1, classes='171', preset='reference'
    )
    parser.add_argument(
        '--checkpoint', metavar='FILE', help='weights; default random ones'
    )
    parser.add_argument(
        '--queries', type=int, metavar='N', help='mask proposals'
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help='semantic, instance, panoptic; default as configured',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=['random'],
        metavar='FILE',
        help="image files, or 'random' (default)",
    )
    parser.add_argument(
        '--measure',
        nargs='+',
        default=['counts', 'macs', 'seconds', 'peak_bytes'],
        metavar='KIND',
        help='some of counts, macs, seconds, peak_bytes; default all',
    )
    parser.set_defaults(run=run_infer)


def run_infer(args: argparse.Namespace) -> None:
    """Measure, print tables and write JSON."""
    check_out(args.out)
    from freeseg_mm.analysis.cost.infer import InferBenchmark, InferOptions

    benchmark = InferBenchmark(read_options(InferOptions, args))
    write_out(args.out, benchmark.run())


def _add_train(commands: Any) -> None:
    """Add ``train`` to the measurements."""
    parser = commands.add_parser(
        'train',
        help='cost of one training step, part by part',
        description=(
            'Count, then time what one training step takes, part by part, '
            "next to mmdet's Mask2Former of the same size (--against "
            'mask2former) or another config. Weights are random.'
        ),
    )
    add_common_arguments(
        parser, image_size=128, batch=2, classes='156', preset='mask2former'
    )
    parser.add_argument(
        '--task', default='panoptic', help='what is trained (panoptic)'
    )
    parser.add_argument(
        '--segments',
        type=int,
        default=10,
        help='segments of each generated image (10)',
    )
    parser.add_argument(
        '--data',
        action='store_true',
        help="take the first batch of the config's own training data",
    )
    parser.add_argument(
        '--count-only',
        action='store_true',
        help='count multiply-adds in one step of each side, time nothing',
    )
    parser.set_defaults(run=run_train)


def run_train(args: argparse.Namespace) -> None:
    """Measure, print tables and write JSON."""
    check_out(args.out)
    from freeseg_mm.analysis.cost.train import TrainBenchmark, TrainOptions

    benchmark = TrainBenchmark(read_options(TrainOptions, args))
    write_out(args.out, benchmark.run())


def add_parser(commands: Any) -> None:
    """Add ``bench`` and what it can measure to the subcommands."""
    parser = commands.add_parser('bench', help='measure costs')
    measurements = parser.add_subparsers(
        metavar='WHAT', dest='what', required=True
    )
    _add_infer(measurements)
    _add_train(measurements)
