"""The page that shows all that was found."""

from collections.abc import Mapping, Sequence

import numpy as np

from freeseg_mm.structures import Task, Vocabulary

from .class_bars import sorted_scores
from .confusion import Mistake, split_shares
from .files import markdown_table, markdown_text, percent
from .gallery import Picture
from .image_scores import SCORE_NAMES
from .result_file import MEASURES, ClassScore, ResultFile

CLASSES_CSV, CONFUSION_CSV = 'classes.csv', 'confusion.csv'
IMAGES_CSV = 'images.csv'
CONFUSION_PICTURE = 'confusion.png'

_EXPLAINED = {
    Task.SEMANTIC: 'mean IoU over the classes of the image',
    Task.INSTANCE: 'panoptic quality of the instances drawn, which AP of one '
    'image would not tell',
    Task.PANOPTIC: 'panoptic quality of the image',
}


def bars_picture(task: Task) -> str:
    """File name of the bars of a task."""
    return f'classes_{task.value}.png'


def head_part(result: ResultFile) -> str:
    """What was tested, and its means."""
    content = result.content
    facts = {
        'config': content['config'],
        'weights': content['checkpoint'],
        'vocabulary': f'{content["vocabulary"]["name"]}, '
        f'{content["vocabulary"]["classes"]} classes',
        'images': str(content.get('images', '?')),
        **{key: str(v) for key, v in (content.get('options') or {}).items()},
    }
    means = markdown_table(
        ['Metric', ':%'],
        [[name, percent(value)] for name, value in content['metrics'].items()],
    )
    return '\n\n'.join(
        [
            '# Results class by class',
            '\n'.join(
                f'- {markdown_text(key)}: {markdown_text(value)}'
                for key, value in facts.items()
            ),
            means,
        ]
    )


def classes_part(classes: Mapping[Task, Sequence[ClassScore]]) -> str:
    """The bars of each task, and what they leave out."""
    parts = [
        '## Classes',
        f'All numbers: [{CLASSES_CSV}]({CLASSES_CSV}). Unseen classes are '
        'starred, their bars orange and hatched.',
    ]
    for task, scores in classes.items():
        parts.append(f'### {task.value.capitalize()}: {MEASURES[task]}')
        if sorted_scores(scores):
            parts.append(f'![{task.value}]({bars_picture(task)})')
        absent = [score.name for score in scores if score.value is None]
        if absent:
            parts.append(
                f'Neither in the truth nor predicted ({len(absent)}): '
                + markdown_text(', '.join(absent))
            )
    return '\n\n'.join(parts)


def confusion_part(
    counts: np.ndarray,
    vocabulary: Vocabulary,
    mistakes: Sequence[Mistake],
    num_shown: int,
) -> str:
    """The matrix, what it says of seen and unseen, the largest mistakes."""
    kinds = ('right', 'another seen', 'another unseen')
    splits = markdown_table(
        ['True class', *(f':{kind}, %' for kind in kinds)],
        [
            [split, *(percent(100 * shares[kind]) for kind in kinds)]
            for split, shares in split_shares(
                counts, vocabulary.is_seen
            ).items()
        ],
    )
    table = markdown_table(
        ['True class', 'Taken for', ':% of its pixels', ':Pixels'],
        [
            [
                _starred(vocabulary, mistake.gt),
                _starred(vocabulary, mistake.pred),
                percent(100 * mistake.share),
                f'{mistake.pixels:,}',
            ]
            for mistake in mistakes
        ],
    )
    shown = f'The {num_shown} most confused of {len(counts)} classes.'
    if num_shown == len(counts):
        shown = f'All {num_shown} classes.'
    return '\n\n'.join(
        [
            '## Confusion',
            'From the semantic result; ignored pixels do not count. Where the '
            'pixels of seen and of unseen classes went:',
            splits,
            f'{shown} All numbers, a row for each true class: '
            f'[{CONFUSION_CSV}]({CONFUSION_CSV}).',
            f'![confusion]({CONFUSION_PICTURE})',
            'The largest confusions, by their share of the true class:',
            table,
        ]
    )


def gallery_part(
    gallery: Mapping[Task, Sequence[Picture]], score_thr: float
) -> str:
    """The worst images of each task."""
    parts = [
        '## Worst images',
        f'Instances that score below {score_thr:g} are neither drawn nor '
        f'counted. Scores of all images: [{IMAGES_CSV}]({IMAGES_CSV}).',
    ]
    for task, pictures in gallery.items():
        parts += [
            f'### {task.value.capitalize()}',
            f'{SCORE_NAMES[task]}: {_EXPLAINED[task]}.',
        ]
        for picture in pictures:
            name = markdown_text(picture.name)
            parts += [
                f'{name}: {picture.score:.1f} %',
                f'![{name}]({picture.path})',
            ]
    return '\n\n'.join(parts)


def no_predictions_part(result: ResultFile) -> str:
    """How to get what a result file cannot show."""
    return (
        '## Confusion and worst images\n\nThese need predictions, which '
        f'{markdown_text(str(result.path))} does not hold: give '
        'tools/analyze_results.py the checkpoint in its place.'
    )


def _starred(vocabulary: Vocabulary, index: int) -> str:
    star = '' if vocabulary.is_seen[index] else '★ '
    return star + vocabulary.names[index]
