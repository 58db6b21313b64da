"""``freeseg-mm bench``: counts first, then time, as ratios of one run."""

import argparse
import json
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any

from freeseg_mm.analysis.cost.options import (
    BenchOptions,
    InferOptions,
    TrainOptions,
)


class KeyValues(argparse.Action):
    """Read ``KEY=VALUE ...`` as mmengine does, which is imported then."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store a dictionary."""
        from mmengine.config import DictAction

        action = DictAction(self.option_strings, self.dest, nargs='+')
        wrong = [value for value in values if '=' not in value]
        if wrong:
            parser.error(f'{option_string}: expected KEY=VALUE, got {wrong}')
        action(parser, namespace, values, option_string)


def add_options(parser: argparse.ArgumentParser, name: str, what: str) -> None:
    """Add an argument that overrides config entries."""
    parser.add_argument(
        name,
        nargs='+',
        action=KeyValues,
        default={},
        metavar='KEY=VALUE',
        help=f'override {what}',
    )


def add_arguments(
    parser: argparse.ArgumentParser, options: type[BenchOptions]
) -> None:
    """Add an argument for each field of a dataclass of options."""
    for field in fields(options):
        name = '--' + field.name.replace('_', '-')
        settings: dict[str, Any] = dict(field.metadata)
        if field.default_factory is not MISSING:  # overrides of a config
            add_options(parser, name, settings['help'])
            continue
        if field.default is MISSING:
            name = field.name
        elif isinstance(field.default, bool):
            settings['action'] = 'store_true'
        else:
            settings['default'] = default = field.default
            if isinstance(default, int):
                settings['type'] = int
            if default is not None:
                shown = default if isinstance(default, tuple) else [default]
                settings['help'] += f' ({" ".join(map(str, shown))})'
        parser.add_argument(name, **settings)


def run(
    args: argparse.Namespace,
    options: type[BenchOptions],
    measure: Callable[[Any], dict[str, Any]],
) -> None:
    """Measure, print tables and write JSON.

    Args:
        args: Parsed arguments.
        options: Dataclass of the options.
        measure: Takes the options and gives what was measured.

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
    names = [field.name for field in fields(options)]
    result = measure(options(**{name: getattr(args, name) for name in names}))
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + '\n')


def _measure_infer(options: InferOptions) -> dict[str, Any]:
    from freeseg_mm.analysis.cost.infer import InferBenchmark

    return InferBenchmark(options).run()


def _measure_train(options: TrainOptions) -> dict[str, Any]:
    from freeseg_mm.analysis.cost.train import TrainBenchmark

    return TrainBenchmark(options).run()


def add_parser(commands: Any) -> None:
    """Add ``bench`` and its measurements to the subcommands."""
    parser = commands.add_parser('bench', help='measure costs')
    measurements = parser.add_subparsers(
        metavar='WHAT', dest='what', required=True
    )
    for name, options, measure, what, against, weights in (
        (
            'infer',
            InferOptions,
            _measure_infer,
            'predicting all images',
            "the flow of the authors' release (--against reference)",
            'random unless given',
        ),
        (
            'train',
            TrainOptions,
            _measure_train,
            'one training step',
            "mmdet's Mask2Former of the same size (--against mask2former)",
            'random',
        ),
    ):
        command = measurements.add_parser(
            name,
            help=f'cost of {what}, part by part',
            description=(
                f'Count, then time what {what} takes, part by part, next to '
                f'another config or {against}. Weights are {weights}.'
            ),
        )
        add_arguments(command, options)
        command.add_argument(
            '--out', type=Path, metavar='FILE', help='write JSON to this file'
        )
        command.set_defaults(
            run=partial(run, options=options, measure=measure)
        )
