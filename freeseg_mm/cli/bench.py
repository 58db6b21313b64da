"""``freeseg-mm bench``: counts first, then time, as ratios of one run."""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from freeseg_mm.analysis.cost.options import (
    ConfigOptions,
    DataOptions,
    InferOptions,
    MetricsOptions,
    TrainOptions,
)
from freeseg_mm.utils.files import require_writable, write_text

from .arguments import CommandParser, add_command, add_fields, read_options

_INFER = """\
Count, then time what predicting all images takes, part by part, next to
another config or the flow of the authors' release (--against reference).
Weights are random unless given.
"""
_TRAIN = """\
Count, then time what one training step takes, part by part, next to another
config or mmdet's Mask2Former of the same size (--against mask2former), or of
each task, for one network of three next to three of one (--task all).
Weights are random.
"""
_METRICS = """\
Time the metrics of the test data on predictions made from its ground truth,
next to pycocotools' AP and to mmseg's and mmdet's metrics, all on the same
predictions in one run. mmdet's panoptic metric needs panopticapi.
"""
_DATA = """\
Load images as one worker of a loader does, and print what each transform of
its pipeline takes.
"""


def add_parser(commands: Any) -> None:
    """Add ``bench`` and its measurements to the subcommands."""
    parser = commands.add_parser('bench', help='measure costs')
    measurements = parser.add_subparsers(
        metavar='WHAT', dest='what', required=True
    )
    add_command(
        measurements,
        'infer',
        help='cost of predicting images, part by part',
        text=_INFER,
        layout=partial(_lay_out, InferOptions),
        run=partial(run, InferOptions, _measure_infer),
    )
    add_command(
        measurements,
        'train',
        help='cost of one training step, part by part',
        text=_TRAIN,
        layout=partial(_lay_out, TrainOptions),
        run=partial(run, TrainOptions, _measure_train),
    )
    add_command(
        measurements,
        'metrics',
        help='time and memory of the metrics',
        text=_METRICS,
        layout=partial(_lay_out, MetricsOptions),
        run=partial(run, MetricsOptions, _measure_metrics),
    )
    add_command(
        measurements,
        'data',
        help='images a second of one worker, transform by transform',
        text=_DATA,
        layout=partial(_lay_out, DataOptions),
        run=partial(run, DataOptions, _measure_data),
    )


def run(
    options: type[ConfigOptions],
    measure: Callable[[Any], dict[str, Any]],
    args: argparse.Namespace,
) -> None:
    """Measure, print tables and write JSON.

    Args:
        options: Dataclass of the options.
        measure: Takes the options and gives what was measured.
        args: Parsed arguments.

    Raises:
        ValueError: If the output's name does not end in ``.json``.
        FileNotFoundError: If its folder does not exist.
    """
    path: Path | None = args.out
    if path is not None:
        if path.suffix != '.json':
            raise ValueError(f'--out {path}: expected a name ending in .json')
        if not path.parent.is_dir():
            raise FileNotFoundError(f'--out {path}: no folder {path.parent}')
        require_writable(path)
    result = measure(read_options(options, args))
    if path is not None:
        write_text(json.dumps(result, indent=2) + '\n', path)


def _lay_out(options: type[ConfigOptions], parser: CommandParser) -> None:
    add_fields(parser, options, positional=('config',))
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='write JSON to this file'
    )


def _measure_infer(options: InferOptions) -> dict[str, Any]:
    from freeseg_mm.analysis.cost.infer import InferBenchmark

    return InferBenchmark(options).run()


def _measure_train(options: TrainOptions) -> dict[str, Any]:
    from freeseg_mm.analysis.cost.train import TrainBenchmark

    return TrainBenchmark(options).run()


def _measure_metrics(options: MetricsOptions) -> dict[str, Any]:
    from freeseg_mm.analysis.cost.metrics import MetricsBenchmark

    return MetricsBenchmark(options).run()


def _measure_data(options: DataOptions) -> dict[str, Any]:
    from freeseg_mm.analysis.cost.data import measure_data

    return measure_data(options)
