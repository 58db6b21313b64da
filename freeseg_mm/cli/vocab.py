"""``freeseg-mm vocab`` and ``tags``: class names, and those in an image."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    add_class_arguments,
    add_model_arguments,
    add_templates,
    add_things,
    classes_of,
    inferencer_of,
    marks_of,
    say,
    templates_of,
)
from .predict import report_failure

if TYPE_CHECKING:
    from freeseg_mm.structures import Vocabulary

EXAMPLES = """examples:
  freeseg-mm vocab list
  freeseg-mm vocab show coco
  freeseg-mm vocab show voc --templates vild14
  freeseg-mm vocab check --classes 'cat|kitten, dragon, grass'
  freeseg-mm vocab check --vocab words.json
  freeseg-mm vocab import ade20k_150_with_prompt_eng.txt --out ade.json

exit status: 0; 1 after saying what is wrong; 2 for wrong usage
"""

TAGS_TEXT = """\
Print which words of a large vocabulary are in an image, with their scores.

The network proposes masks, as for the instance result, and each is
classified by queries and CLIP; a word scores as its best mask does. A word
is then one that `freeseg-mm predict` would find, at about that score. Words
that mean much the same share a mask's probability: write those as synonyms.
"""
TAGS_EXAMPLES = """examples:
  freeseg-mm tags photo.jpg --vocab coco
  freeseg-mm tags photos/ --vocab lvis.json --top 20 --json
"""


def add_parser(commands: Any) -> None:
    """Add ``tags``, ``vocab`` and what it can do to the subcommands."""
    _add_tags(commands)
    parser = commands.add_parser(
        'vocab',
        help='list, show and check vocabularies',
        description='List, show and check vocabularies.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(
        metavar='ACTION', dest='action', required=True
    )
    listing = actions.add_parser('list', help='the built-in vocabularies')
    listing.set_defaults(run=run_list)
    show = actions.add_parser('show', help='the classes of a vocabulary')
    show.add_argument('vocab', metavar='NAME', help='name or file')
    add_templates(show)
    show.set_defaults(run=run_show)
    check = actions.add_parser(
        'check',
        help='what class names or a file mean, or what is wrong',
    )
    add_class_arguments(check)
    check.set_defaults(run=run_check)
    for action in (listing, show, check):
        action.add_argument(
            '--json', action='store_true', help='print JSON instead'
        )
    importing = actions.add_parser(
        'import',
        help='make a vocabulary of a list of OpenSeg or FC-CLIP',
        description='Make a vocabulary file of a list with a line '
        'id:name,synonym,synonym a class, as OpenSeg and FC-CLIP publish them '
        'for ADE20K, Pascal Context, Cityscapes, Mapillary and LVIS. A name '
        'that two classes list stays with the one it is the first name of, '
        'else with the first; standard error tells.',
    )
    importing.add_argument('file', metavar='FILE', type=Path, help='the list')
    importing.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='vocabulary to write (.json); default standard output',
    )
    add_things(importing)
    importing.set_defaults(run=run_import)


def _add_tags(commands: Any) -> None:
    parser = commands.add_parser(
        'tags',
        help='which words of a vocabulary are in an image',
        description=TAGS_TEXT,
        epilog=TAGS_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'images',
        nargs='+',
        metavar='IMAGE',
        help='file, folder of images, pattern or URL',
    )
    add_class_arguments(parser)
    parser.add_argument(
        '--top',
        type=int,
        default=10,
        metavar='K',
        help='how many words (default: %(default)s)',
    )
    add_templates(parser)
    add_model_arguments(parser)
    parser.add_argument(
        '--json',
        action='store_true',
        help='print a JSON object a line, one for each image',
    )
    # masks are not shown, so they need no size
    parser.set_defaults(run=run_tags, max_side=640, prompt_tuning=None)


def run_tags(args: argparse.Namespace) -> int:
    """Print the words of each image; 1 if one could not be read."""
    from freeseg_mm.apis import ImageError, read_classes
    from freeseg_mm.apis.inputs import list_images
    from freeseg_mm.structures import Task
    from freeseg_mm.utils.errors import require_whole

    require_whole('--top', args.top, 1)
    classes, marks = classes_of(args), marks_of(args)
    read_classes(classes, **marks)
    images = list_images(args.images)
    failed = 0
    for result in inferencer_of(args).stream(
        images,
        classes,
        **marks,
        tasks='instance',
        raw=True,
        max_per_image=1,
        templates=templates_of(args),
    ):
        if isinstance(result, ImageError):
            failed += 1
            report_failure(args, result)
            continue
        assert result.raw is not None  # asked for
        tags = result.raw[Task.INSTANCE].tags(args.top)
        if args.json:
            print(json.dumps({'source': result.source, 'tags': tags}))
        else:
            words = [f'{name} {score:.2f}' for name, score in tags.items()]
            say(f'{result.title}: {", ".join(words)}')
    return 1 if failed else 0


def run_list(args: argparse.Namespace) -> None:
    """Print a table of the built-in vocabularies."""
    from freeseg_mm.apis.vocabulary import SHORT_NAMES, load_vocabulary
    from freeseg_mm.structures import Vocabulary

    short = {name: alias for alias, name in SHORT_NAMES.items()}
    rows: list[dict[str, Any]] = [
        {
            'name': name,
            'short_name': short.get(name, ''),
            **_counts(load_vocabulary(name)),
        }
        for name in Vocabulary.builtin_names()
    ]
    _print(rows, args.json)


def run_show(args: argparse.Namespace) -> None:
    """Print the classes of a vocabulary, or the sentences CLIP reads."""
    from freeseg_mm.apis.vocabulary import load_vocabulary

    vocabulary = load_vocabulary(args.vocab)
    templates = templates_of(args)
    if templates is None:
        _print(_classes(vocabulary), args.json)
        return
    from freeseg_mm.models.clip.text_tower import read_templates

    sentences = [
        {
            'label': label,
            'name': name,
            'sentence': template.replace('{}', name),
        }
        for name, label in zip(
            vocabulary.prompts, vocabulary.prompt_to_class, strict=True
        )
        for template in read_templates(templates)
    ]
    _print(sentences, args.json)


def run_check(args: argparse.Namespace) -> None:
    """Print what is understood, and who says thing or stuff."""
    from freeseg_mm.apis.vocabulary import read_classes, thing_mark

    marks = marks_of(args)
    vocabulary = read_classes(
        classes_of(args), things=marks['things'], unseen=marks['unseen']
    )
    has_marks = args.vocab is not None and not args.vocab.endswith('.txt')
    rows = _classes(vocabulary)
    for row in rows:
        if marks['things'] is not None:
            row['marked_by'] = '--things'
        elif has_marks:
            row['marked_by'] = vocabulary.name
        else:
            texts = (row['name'], *row['synonyms'])
            row['marked_by'] = thing_mark(texts)[1]
        del row['training']  # the weights will tell, which are not known here
    _print(rows, args.json)


def run_import(args: argparse.Namespace) -> None:
    """Write a list of classes as a vocabulary file."""
    from freeseg_mm.apis.vocabulary import thing_mark
    from freeseg_mm.structures import Vocabulary
    from freeseg_mm.structures.vocabulary_file import parse_class_list
    from freeseg_mm.utils.files import make_folder, write_json

    try:
        classes, notes = parse_class_list(args.file.read_bytes())
    except ValueError as error:
        raise ValueError(f'{args.file}: {error}') from error
    for note in notes:
        say(f'{args.file}: {note}', sys.stderr)
    things = args.things and [name for name in args.things if name]
    if things is None:
        things = [
            name
            for name, synonyms in classes.items()
            if thing_mark((name, *synonyms))[0]
        ]
    # refuses what a vocabulary file would be refused for
    Vocabulary.from_names(
        classes, things=things, synonyms=dict(classes), name=args.file.stem
    )
    content = {
        'name': args.file.stem,
        'source': args.file.name,
        'classes': list(classes),
        'things': things,
        'synonyms': {name: more for name, more in classes.items() if more},
    }
    if args.out is None:
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return
    make_folder(args.out.parent)
    write_json(content, args.out, indent=1)
    print(
        f'wrote {args.out}: {len(classes)} classes, {len(things)} of them '
        f'things, {sum(map(len, classes.values()))} synonyms',
        file=sys.stderr,
    )


def _classes(vocabulary: 'Vocabulary') -> list[dict[str, Any]]:
    return [
        {
            'label': label,
            'name': name,
            'kind': 'thing' if vocabulary.is_thing[label] else 'stuff',
            'training': 'seen' if vocabulary.is_seen[label] else 'unseen',
            'synonyms': list(vocabulary.synonyms[label]),
        }
        for label, name in enumerate(vocabulary.names)
    ]


def _counts(vocabulary: 'Vocabulary') -> dict[str, int]:
    things, seen = sum(vocabulary.is_thing), sum(vocabulary.is_seen)
    total = len(vocabulary)
    return {
        'classes': total,
        'things': things,
        'stuff': total - things,
        'seen': seen,
        'unseen': total - seen,
    }


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    from terminaltables import AsciiTable  # type: ignore[import-untyped]

    heads = [head.replace('_', ' ') for head in rows[0]]
    cells = [
        [
            ', '.join(cell) if isinstance(cell, list) else str(cell)
            for cell in row.values()
        ]
        for row in rows
    ]
    table = AsciiTable([heads, *cells])
    table.outer_border = False
    print(table.table)
