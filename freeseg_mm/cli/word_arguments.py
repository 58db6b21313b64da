"""Arguments that say which words are meant."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freeseg_mm.apis.words import Words

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


def words_of(args: argparse.Namespace) -> 'Words':
    """The words as ``read_words`` takes them."""
    return args.vocab if args.classes is None else args.classes


def marked(words: list[str] | None) -> list[str] | None:
    """Names of ``--things`` or ``--unseen``; '' means none of them."""
    return None if words is None else [word for word in words if word]
