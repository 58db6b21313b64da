"""The command ``freeseg-mm``: one module of this folder a subcommand."""

import argparse
import sys
from collections.abc import Sequence

from . import bench, predict, video, vocab
from .webdemo import command as webdemo

USER_ERRORS = (OSError, KeyError, TypeError, ValueError)
"""What the package raises for bad input, with a message for the user."""


def build_parser() -> argparse.ArgumentParser:
    """Lay out all subcommands; none imports torch before it runs."""
    parser = argparse.ArgumentParser(
        prog='freeseg-mm', description='Open-vocabulary segmentation.'
    )
    commands = parser.add_subparsers(
        metavar='COMMAND', dest='command', required=True
    )
    for command in (predict, video, vocab, bench, webdemo):
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: Arguments after the program's name; ``None`` takes the
            process's own.

    Returns:
        The exit status: 0, or 1 after a sentence on standard error, which a
        subcommand may also return itself. Wrong usage exits with 2, as
        argparse does.
    """
    args = build_parser().parse_args(argv)
    try:
        status = args.run(args)
    except USER_ERRORS as error:
        # str() of a KeyError is its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f'freeseg-mm: {message}', file=sys.stderr)
        return 1
    return status or 0
