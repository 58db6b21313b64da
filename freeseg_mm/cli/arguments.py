"""Arguments of the commands that ask an inferencer."""

import argparse
import os
import sys
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

from .bench import add_options

if TYPE_CHECKING:
    from freeseg_mm.apis import FreeSegInferencer

TASKS = ('semantic', 'instance', 'panoptic')
_SHARES = {
    'score_thr': 'least score of an instance mask (default 0.3)',
    'object_score_thr': 'least score of a panoptic segment',
    'overlap_thr': 'least share of a mask that a panoptic segment keeps',
}


def _whole(text: str, least: int) -> int:
    """A number of at least ``least``; argparse says it of anything else."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(
            f'expected a whole number of at least {least}, got {text!r}'
        )
    return number


_positive = partial(_whole, least=1)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which model is asked, and where it runs."""
    parser.add_argument(
        '--config',
        default=None,
        help='config file, or a short name, as demo (default), shapes, coco',
    )
    parser.add_argument(
        '--checkpoint',
        metavar='FILE',
        help='weights; without --config, with the config they carry',
    )
    parser.add_argument('--device', help='default: cuda if there is one')
    add_options(parser, '--cfg-options', 'entries of the config')


def add_inferencer_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which model is asked, and how."""
    add_model_arguments(parser)
    for name, what in _SHARES.items():
        parser.add_argument(
            f'--{name.replace("_", "-")}', type=float, metavar='X', help=what
        )
    parser.add_argument(
        '--prompt-tuning',
        nargs='?',
        type=partial(_whole, least=0),
        const=True,
        metavar='STEPS',
        help='tune the prompt on each batch at test time, for unseen classes; '
        'STEPS is what the config says, or 1; 0 for none',
    )
    parser.add_argument(
        '--frame-stride',
        type=_positive,
        default=1,
        metavar='N',
        help='of a video, answer each N-th frame (default 1)',
    )
    parser.add_argument(
        '--batch-size',
        type=_positive,
        default=1,
        metavar='B',
        help='default 1',
    )
    parser.add_argument(
        '--max-side',
        type=_positive,
        default=2048,
        metavar='PIXELS',
        help='answers on larger images are worked out at this longer side, '
        'then enlarged (default 2048)',
    )


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Prediction options that were given; unusable ones are refused."""
    from freeseg_mm.models.predict_options import PredictOptions

    given = {name: getattr(args, name) for name in _SHARES}
    PredictOptions().override(**given)
    return {name: x for name, x in given.items() if x is not None}


def inferencer_of(args: argparse.Namespace) -> 'FreeSegInferencer':
    """Build the inferencer, which loads the weights.

    Args:
        args: Of :func:`add_inferencer_arguments`; or of
            :func:`add_model_arguments`, with ``max_side`` and
            ``prompt_tuning``.
    """
    from freeseg_mm.apis import FreeSegInferencer
    from freeseg_mm.utils.quiet import quiet_logger

    # mmengine logs to standard output, which is for answers here
    with redirect_stdout(sys.stderr), quiet_logger('WARNING'):
        return FreeSegInferencer(
            args.config or args.checkpoint or 'demo',
            args.checkpoint if args.config else None,
            device=args.device,
            cfg_options=args.cfg_options,
            max_side=args.max_side,
            prompt_tuning=args.prompt_tuning,
        )


def quiet_decoder() -> None:
    """Leave it to us to say what is wrong with a video.

    FFmpeg, which OpenCV decodes with, would add its own lines to standard
    error. It looks at this once in a process.
    """
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')


if TYPE_CHECKING:
    from freeseg_mm.apis.vocabulary import Classes

THINGS_DEFAULT = (
    'without it, a word is what COCO, ADE20K or VOC say of it, and a thing '
    'if they do not know it'
)


def word_list(text: str) -> list[str]:
    """Split ``cat|kitten, dog`` at its commas."""
    return [word.strip() for word in text.split(',')]


def add_word_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--classes``, ``--vocab``, ``--things`` and ``--unseen``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        '--classes',
        type=word_list,
        metavar='WORDS',
        help="what to look for, as 'cat|kitten, dog, grass': commas between "
        'classes, | between synonyms',
    )
    which.add_argument(
        '--vocab',
        metavar='NAME',
        help='a vocabulary instead: coco, ade20k, voc, another of `freeseg-mm '
        'vocab list`, or a file (JSON, or text with a class a line)',
    )
    parser.add_argument(
        '--things',
        type=word_list,
        metavar='WORDS',
        help=f"the classes that are countable ('' for none); {THINGS_DEFAULT}",
    )
    parser.add_argument(
        '--unseen',
        type=word_list,
        metavar='WORDS',
        help='the classes that training had no labels of; without it, those '
        'that are not among the seen classes of the weights',
    )


def words_of(args: argparse.Namespace) -> 'Classes':
    """The words as ``read_classes`` takes them."""
    return args.vocab if args.classes is None else args.classes


def marked(words: list[str] | None) -> list[str] | None:
    """Names of ``--things`` or ``--unseen``; '' means none of them."""
    return None if words is None else [word for word in words if word]
