"""Arguments that several commands share, and parsers laid out when chosen."""

import argparse
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import MISSING, fields
from functools import partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

from freeseg_mm.utils.names import printable
from freeseg_mm.utils.run_config import add_options

if TYPE_CHECKING:
    from freeseg_mm.apis import FreeSegInferencer
    from freeseg_mm.apis.vocabulary import Classes

Options = TypeVar('Options')
Layout = Callable[['CommandParser'], None]

TASKS = ('semantic', 'instance', 'panoptic')
LOADERS = ('train', 'val', 'test')


class CommandParser(argparse.ArgumentParser):
    """Parser of a command or subcommand.

    The arguments of a subcommand are laid out when it is chosen, so that
    those whose defaults stand with the code that uses them cost the others
    no import. ``prog`` of what was parsed is the full name of the command.
    """

    layout: Layout | None = None

    def parse_known_args(  # type: ignore[override]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as argparse does, after laying out what is missing."""
        layout, self.layout = self.layout, None
        if layout:
            layout(self)
        known, rest = super().parse_known_args(args, namespace)
        if not hasattr(known, 'prog'):
            known.prog = self.prog
        return known, rest

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, as a terminal may see it, and exit with 2."""
        super().error(printable(message))


def add_command(
    commands: Any,
    name: str,
    *,
    help: str,
    text: str,
    layout: Layout,
    run: Callable[[argparse.Namespace], int | None],
    goes_on: bool = False,
) -> None:
    """Add a subcommand.

    Args:
        commands: Action of ``add_subparsers``.
        name: Of the subcommand.
        help: A line in the list of commands.
        text: Description that its own ``--help`` begins with, as it is.
        layout: Adds its arguments.
        run: Takes what was parsed; gives the exit status, ``None`` for 0.
        goes_on: Whether the same command goes on after an interruption.
    """
    parser = commands.add_parser(
        name,
        help=help,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.layout = layout
    parser.set_defaults(run=run, goes_on=goes_on)


def add_group(commands: Any, name: str, *, help: str) -> Any:
    """Add a command that has subcommands of its own; gives their action."""
    parser = commands.add_parser(name, help=help)
    return parser.add_subparsers(
        metavar='ACTION', dest='action', required=True
    )


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line, past progress bars, as a terminal may see it."""
    from tqdm import tqdm

    tqdm.write(printable(line), file=file or sys.stdout)


def add_fields(
    parser: argparse.ArgumentParser,
    kind: type[Any],
    names: Iterable[str] | None = None,
    positional: Iterable[str] = (),
) -> None:
    """Add an option for each field of a dataclass, for :func:`read_options`.

    Name, type and default are the field's, the help is what ``Attributes:``
    of the docstring (of the class or a parent) says of it. A field without
    a default is required, a sequence takes several values, a dictionary
    overrides of a config.

    Args:
        parser: Where to.
        kind: The dataclass; its fields are numbers, strings, paths or bools,
            sequences of these, or dictionaries, and may be ``None``.
        names: Of the fields; ``None`` for all.
        positional: Names of the fields that are no options.
    """
    types = typing.get_type_hints(kind)
    texts: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        texts |= _attribute_texts(each)
    for field in fields(kind):
        if names is not None and field.name not in names:
            continue
        name = f'--{field.name.replace("_", "-")}'
        value_type = types[field.name]
        if isinstance(value_type, UnionType):
            (value_type,) = set(typing.get_args(value_type)) - {NoneType}
        options: dict[str, Any] = {'type': value_type}
        inner = typing.get_args(value_type)
        if typing.get_origin(value_type) is dict:
            add_options(parser, name, texts[field.name])
            continue
        if inner:
            options = {'type': inner[0], 'nargs': '+'}
        elif value_type is bool:
            options = {'action': argparse.BooleanOptionalAction}
        shown = ''
        if field.name in positional:
            name = field.name
        elif field.default is MISSING:
            options['required'] = True
        else:
            options['default'] = field.default
            if field.default is not None:
                shown = ' (default: %(default)s)'
        parser.add_argument(
            name, help=f'{texts[field.name]}{shown}', **options
        )


def _attribute_texts(kind: type[Any]) -> dict[str, str]:
    """Read what a Google docstring says of each attribute, but the period."""
    section = inspect.cleandoc(kind.__doc__ or '').partition(
        '\nAttributes:\n'
    )[2]
    found = re.findall(
        r'^    (\w+): (.*?)\.?$(?=\n    \w+: |\n\n|\Z)', section, re.S | re.M
    )
    return {
        name: ' '.join(text.split()).replace('``', '').replace('%', '%%')
        for name, text in found
    }


def read_options(
    kind: type[Options], args: argparse.Namespace, **given: Any
) -> Options:
    """Read a dataclass from the arguments of its fields' names.

    Args:
        kind: The dataclass.
        args: Parsed arguments; those that are absent keep their defaults.
        given: Fields that are no arguments.

    Raises:
        ValueError: As the dataclass does.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    read = {name: value for name, value in vars(args).items() if name in names}
    return kind(**{**read, **given})


def add_shard(parser: argparse.ArgumentParser, what: str, after: str) -> None:
    """Add ``--shard``, for :meth:`Shard.parse`."""
    parser.add_argument(
        '--shard',
        metavar='I/N',
        help=f'take a share of {what}, as process I of N that have the same '
        f'other arguments; {after}',
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes that look at files."""
    from freeseg_mm.utils.parallel import available_cores

    parser.add_argument(
        '--workers',
        type=int,
        default=available_cores(),
        help='processes; the result is the same (default: %(default)s, all '
        'cores)',
    )


def _whole(text: str, least: int) -> int:
    """A number of at least ``least``; argparse says it of anything else."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= sys.maxsize:
        raise argparse.ArgumentTypeError(
            f'expected a whole number of at least {least}, got {text!r}'
        )
    return number


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model and the device, for :func:`inferencer_of`."""
    parser.add_argument(
        '--config',
        default=None,
        help='config file, or a short name: of `freeseg-mm models list`, or '
        'demo, shapes, coco; default: the best fetched model, else demo',
    )
    parser.add_argument(
        '--checkpoint',
        metavar='FILE',
        help='weights; without --config, with the config they carry',
    )
    parser.add_argument('--device', help='default: cuda if there is one')
    add_options(parser, '--cfg-options', 'entries of the config')


def _threshold(text: str) -> float | dict[str, float]:
    """Read ``0.4`` or ``0.4, cat=0.6`` as ``PredictOptions`` takes it."""
    parts = [part.rpartition('=') for part in text.split(',')]
    names = [name.strip() for name, _, _ in parts]
    try:
        values = [float(value) for _, _, value in parts]
    except ValueError:
        values = []
    if not values or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(
            f"expected a number, or by class as 'cat=0.6, dog=0.5' or "
            f"'0.4, cat=0.6', got {text!r}"
        )
    if names == ['']:
        return values[0]
    by_class = dict(zip(names, values, strict=True))
    return {name or '*': value for name, value in by_class.items()}


_CLASS_THRESHOLDS = {
    'score_thr': 'least score of an instance mask (default 0.3)',
    'object_score_thr': 'least score of a panoptic segment',
    'pixel_score_thr': 'least score of a pixel of the semantic and panoptic '
    'results, void below',
}


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, and how it predicts an image."""
    add_model_arguments(parser)
    for name, text in _CLASS_THRESHOLDS.items():
        parser.add_argument(
            f'--{name.replace("_", "-")}',
            type=_threshold,
            metavar='X',
            help=f"{text}; by class as '0.4, cat=0.6'",
        )
    parser.add_argument(
        '--not',
        dest='negatives',
        type=name_list,
        metavar='NAMES',
        help='words that compete with the classes and are not reported, as '
        "'person, hand'",
    )
    add_templates(parser)
    parser.add_argument(
        '--overlap-thr',
        type=float,
        metavar='X',
        help='least share of a mask that a panoptic segment keeps',
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
    _add_number(
        parser,
        '--max-side',
        2048,
        'PIXELS',
        'larger images are predicted at this longer side, then the '
        'prediction is enlarged',
    )


def add_inferencer_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, and how it predicts images and videos."""
    add_image_arguments(parser)
    _add_number(
        parser, '--frame-stride', 1, 'N', 'of a video, predict each N-th frame'
    )
    _add_number(parser, '--batch-size', 1, 'B', 'images at once')
    _add_number(
        *(parser, '--num-workers', 2, 'N'),
        'threads that read images while the network works, and in predict as '
        'many that write results; 0 for none',
        least=0,
    )


def _add_number(
    parser: argparse.ArgumentParser,
    option: str,
    default: int,
    metavar: str,
    text: str,
    least: int = 1,
) -> None:
    parser.add_argument(
        option,
        type=partial(_whole, least=least),
        default=default,
        metavar=metavar,
        help=f'{text} (default: %(default)s)',
    )


def prediction_options(args: argparse.Namespace) -> dict[str, Any]:
    """Options of a prediction that were given, by keyword.

    Args:
        args: Of :func:`add_image_arguments` and :func:`add_class_arguments`.

    Raises:
        ValueError: If one is out of range or names no class, or the classes
            are refused.
    """
    from freeseg_mm.apis import read_classes
    from freeseg_mm.models.predict_options import PredictOptions

    vocabulary = read_classes(classes_of(args), **marks_of(args))
    names = (*_CLASS_THRESHOLDS, 'overlap_thr', 'negatives')
    given = {name: getattr(args, name) for name in names}
    given['templates'] = templates_of(args)
    checked = {**given}
    if args.negatives:
        checked['negatives'] = read_classes(args.negatives)
    PredictOptions().override(**checked).competing(vocabulary)
    return {name: x for name, x in given.items() if x is not None}


def inferencer_of(args: argparse.Namespace) -> 'FreeSegInferencer':
    """Build the inferencer, which loads the weights.

    Args:
        args: Of :func:`add_image_arguments`; or of
            :func:`add_model_arguments`, with ``max_side`` and
            ``prompt_tuning``. Without a model the best that is here is
            taken, which standard error tells.

    Raises:
        FileNotFoundError: If there is none, too.
    """
    from freeseg_mm.apis import FreeSegInferencer
    from freeseg_mm.apis.model_names import default_model
    from freeseg_mm.utils.scopes import quiet_logger

    model = args.config or args.checkpoint
    if model is None:
        model = default_model()
        print(
            f'without --config: {model}, the best model here', file=sys.stderr
        )
    # mmengine logs to standard output, which is for predictions here
    with redirect_stdout(sys.stderr), quiet_logger('WARNING'):
        return FreeSegInferencer(
            model,
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


def name_list(text: str) -> list[str]:
    """Split ``cat|kitten, dog`` at its commas."""
    return [name.strip() for name in text.split(',')]


def add_class_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--classes``, ``--vocab``, ``--things`` and ``--unseen``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        '--classes',
        type=name_list,
        metavar='NAMES',
        help="what to look for, as 'cat|kitten, dog, grass': commas between "
        'classes, | between synonyms',
    )
    which.add_argument(
        '--vocab',
        metavar='NAME',
        help='a vocabulary instead: coco, ade20k, voc, another of `freeseg-mm '
        'vocab list`, or a file (JSON, or text with a class a line)',
    )
    add_things(parser)
    parser.add_argument(
        '--unseen',
        type=name_list,
        metavar='NAMES',
        help='the classes that training had no labels of; without it, those '
        'that are not among the seen classes of the weights',
    )


def add_templates(parser: argparse.ArgumentParser) -> None:
    """Add ``--templates``."""
    parser.add_argument(
        '--templates',
        nargs='+',
        metavar='SENTENCE',
        help="sentences in which CLIP reads names, as 'a photo of a {}.', or "
        'a set of them: imagenet80, vild14; for weights whose prompts are '
        'sentences, as public ones',
    )


def templates_of(args: argparse.Namespace) -> list[str] | str | None:
    """Sentences of ``--templates``, or the name of their set."""
    given = args.templates
    return given[0] if given and len(given) == 1 else given


def add_things(parser: argparse.ArgumentParser) -> None:
    """Add ``--things``."""
    parser.add_argument(
        '--things',
        type=name_list,
        metavar='NAMES',
        help="the classes that are countable ('' for none); without it, a "
        'class is what COCO, ADE20K or VOC say of it, and a thing if they do '
        'not know it',
    )


def classes_of(args: argparse.Namespace) -> 'Classes':
    """Classes as ``read_classes`` takes them."""
    return args.vocab if args.classes is None else args.classes


def marks_of(args: argparse.Namespace) -> dict[str, list[str] | None]:
    """Names of ``--things`` and ``--unseen``, by keyword; '' means none."""
    return {
        option: names and [name for name in names if name]
        for option, names in (('things', args.things), ('unseen', args.unseen))
    }
