"""Arguments that measurements share."""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

Options = TypeVar('Options')


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


def read_options(kind: type[Options], args: argparse.Namespace) -> Options:
    """Options of a dataclass from the arguments of the same names."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(args, name) for name in names})


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
