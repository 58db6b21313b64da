"""The command ``freeseg-mm``, and the end of every command that fails."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from freeseg_mm.utils.errors import raised_here, sentence_of

from . import (
    bench,
    compare,
    datasets,
    env,
    models,
    predict,
    prompts,
    self_training,
    shapes,
    tables,
    video,
    vocab,
)
from .arguments import CommandParser
from .webdemo import command as webdemo
from .webdemo import serve

USER_ERRORS = (ImportError, OSError, KeyError, TypeError, ValueError)
"""Errors of bad input, with a message for the user."""
_INTERRUPTED = 130
# Of libraries, on code of theirs; our own readers refuse what is too large.
_NOT_FOR_USERS = ('torch.meshgrid: in an', 'Image size .* decompression bomb')


@contextmanager
def user_errors(name: str, *, goes_on: bool = False) -> Iterator[None]:
    """Let what a user can get wrong end in a sentence on standard error.

    That is ``USER_ERRORS``, and a RuntimeError that this package raises; all
    others are shown whole.

    Args:
        name: Of the command, for the sentence.
        goes_on: Whether the same command goes on after an interruption.

    Raises:
        SystemExit: With status 1 after such a sentence, 130 when interrupted.
    """
    try:
        yield
    except (*USER_ERRORS, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not raised_here(error):
            raise
        print(f'{name}: {sentence_of(error)}', file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        hint = '; run it again to go on' if goes_on else ''
        print(f'{name}: interrupted{hint}', file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from error


def build_parser() -> CommandParser:
    """Lay out the commands, which imports no library that they use."""
    parser = CommandParser(
        prog='freeseg-mm', description='Open-vocabulary segmentation.'
    )
    commands = parser.add_subparsers(
        metavar='COMMAND', dest='command', required=True
    )
    for family in (
        predict,
        video,
        compare,
        vocab,
        models,
        webdemo,
        serve,
        shapes,
        datasets,
        self_training,
        prompts,
        tables,
        bench,
        env,
    ):
        family.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: Arguments after the program's name; ``None`` takes the
            process's own.

    Returns:
        The exit status: 0, or what :func:`user_errors` exits with, which a
        subcommand may also return itself. Wrong usage exits with 2, as
        argparse does.
    """
    args = build_parser().parse_args(argv)
    try:
        with (
            user_errors(args.prog, goes_on=getattr(args, 'goes_on', False)),
            warnings.catch_warnings(),
        ):
            for message in _NOT_FOR_USERS:
                warnings.filterwarnings('ignore', message)
            return args.run(args) or 0
    except SystemExit as stop:
        return int(stop.code or 0)
