"""What the command lines of all preparations share."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from freeseg_mm.utils.parallel import available_cores

from .split_preparation import PreparedSplit

INTERRUPTED = 130
CONFIG_MISTAKES = (KeyError, TypeError)
"""What building from a mistaken config raises, beside a ValueError."""

Part = TypeVar('Part')


def prepare_from_download(
    name: str,
    description: str | None,
    num_images: Mapping[str, int],
    prepare: Callable[..., Sequence[Part]],
    show: Callable[[Part], list[str]],
    arguments: Sequence[str] | None,
    copied: str = 'images',
) -> int:
    """The whole command ``NAME SRC OUT`` that prepares a public download.

    Args:
        name: Of the command, for messages.
        description: What ``--help`` says.
        num_images: Official number of images by split.
        prepare: Takes source and target, ``splits``, ``workers``, ``copy``
            and ``subset``; gives what it did with each split.
        show: Lines to print about a split.
        arguments: Of the command line; default ``sys.argv``.
        copied: What ``--copy`` copies.

    Returns:
        The exit code.
    """
    parser = _download_parser(description, num_images, copied)
    args = parser.parse_args(arguments)

    def action() -> None:
        for part in prepare(
            args.source,
            args.target,
            splits=args.splits,
            workers=args.workers,
            copy=args.copy,
            subset=args.subset,
        ):
            print('\n'.join(show(part)))

    return run_command(name, action)


def _download_parser(
    description: str | None, num_images: Mapping[str, int], copied: str
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
        help=f'copy {copied} instead of linking to SRC',
    )
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option for the number of processes."""
    parser.add_argument(
        '--workers',
        type=int,
        default=available_cores(),
        help='processes; the result is the same (default: %(default)s, all '
        'cores)',
    )


def run_command(
    name: str,
    action: Callable[[], None],
    also: tuple[type[Exception], ...] = (),
) -> int:
    """Run a command; what a user can get wrong ends in one sentence.

    Args:
        name: Of the command, for messages.
        action: What it does.
        also: Errors that are a user's mistakes here, beside OSError and
            ValueError; all others are shown whole.

    Returns:
        The exit code.
    """
    mistakes: tuple[type[Exception], ...] = (OSError, ValueError, *also)
    try:
        action()
    except mistakes as error:
        # str() of a KeyError is its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f'{name}: {message}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'{name}: interrupted; run it again to go on')
        return INTERRUPTED
    return 0


def show_labels(part: PreparedSplit) -> list[str]:
    """What to print about a split whose truth comes from label files."""
    return part.summary + nothing_to_do(part.num_written)


def nothing_to_do(num_written: int) -> list[str]:
    """A line that says so where a run found all done."""
    if num_written:
        return []
    return ['  nothing to do: all annotations were there already']
