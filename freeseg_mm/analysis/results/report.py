"""Report of one test: a page with the pictures and tables beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from tqdm import tqdm

from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.evaluation.results import (
    MEASURES,
    ResultFile,
    check_belongs,
    read_result_file,
)
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import make_folder, write_text
from freeseg_mm.utils.image_files import write_picture
from freeseg_mm.utils.open_image import read_rgb
from freeseg_mm.utils.tables import (
    markdown_table,
    markdown_text,
    percent,
    write_csv,
)
from freeseg_mm.visualization import gt_regions, panel

from .class_bars import class_bars, sorted_scores
from .collecting import Collector, Specimen, run_test
from .confusion import (
    confusion_figure,
    largest_mistakes,
    most_confused,
    row_shares,
    split_shares,
)
from .figures import save_figure
from .image_scores import SCORE_NAMES

_EXPLAINED = {
    Task.SEMANTIC: 'mean IoU over the classes of the image',
    Task.INSTANCE: 'panoptic quality of the instances drawn, which AP of one '
    'image would not tell',
    Task.PANOPTIC: 'panoptic quality of the image',
}


@dataclass(frozen=True)
class Extent:
    """Sizes of the report.

    Attributes:
        worst: Pictures of each task.
        classes: Rows of the confusion matrix.
        mistakes: Rows of the table of the largest confusions.
        score_thr: Instances that score lower are not shown, in [0, 1].

    Raises:
        ValueError: If a number is out of range.
    """

    worst: int = 8
    classes: int = 30
    mistakes: int = 20
    score_thr: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (('worst', 0), ('classes', 1), ('mistakes', 0)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(
                    f'{name}: expected at least {least}, got {value}'
                )
        if not 0 <= self.score_thr <= 1:
            raise ValueError(
                f'score_thr: expected 0 to 1, got {self.score_thr}'
            )


def analyse(
    config: Config,
    source: Path,
    out: Path,
    *,
    config_path: str,
    options: Mapping[str, Any],
    extent: Extent = Extent(),  # noqa: B008 - immutable
) -> Path:
    """Analyse a test, which is run if ``source`` is a checkpoint.

    Args:
        config: The config, with its options applied.
        source: A checkpoint, or what ``tools/test.py --out`` wrote; that
            holds no predictions, so it gives the scores of classes alone.
        out: Folder of the page and its files; it is made.
        config_path: File that the config was read from.
        options: Entries of the config that the command line changed.
        extent: Sizes of the report.

    Returns:
        The page, Markdown.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the results are of another config, or a file is
            unusable.
    """
    if not source.is_file():
        raise FileNotFoundError(f'no checkpoint or result file {source}')
    if source.suffix == '.json':
        result = read_result_file(source)
        check_belongs(result, config_path, _test_vocabulary(config))
        make_folder(out)
        parts = [
            '## Confusion and worst images',
            'These need predictions, which '
            f'{markdown_text(str(source))} does not hold: give '
            'tools/analyze_results.py the checkpoint in its place.',
        ]
    else:
        make_folder(out)
        collector = run_test(
            config,
            source,
            out,
            config_path=config_path,
            options=options,
            num_worst=extent.worst,
            score_thr=extent.score_thr,
        )
        result = read_result_file(out / 'results.json')
        parts = [
            *_confusion_part(collector, extent, out),
            *_gallery_part(collector, extent, out),
        ]
    page = out / 'index.md'
    parts = [*_head_part(result), *_classes_part(result, out), *parts]
    write_text('\n\n'.join(parts) + '\n', page)
    return page


def _test_vocabulary(config: Config) -> Vocabulary:
    """Vocabulary of the test; needs no images or annotations."""
    dataset = dataset_configs(config, 'test')[0]
    return build_dataset(
        {**dataset, 'lazy_init': True, 'pipeline': []}
    ).vocabulary


def _head_part(result: ResultFile) -> list[str]:
    """Facts of the test and its means."""
    content = result.content
    vocabulary = content['vocabulary']
    facts = {
        'config': content['config'],
        'weights': content['checkpoint'],
        'vocabulary': f'{vocabulary["name"]}, {vocabulary["classes"]} classes',
        'images': content.get('images', '?'),
        **(content.get('options') or {}),
    }
    return [
        '# Results class by class',
        '\n'.join(
            f'- {markdown_text(key)}: {markdown_text(str(value))}'
            for key, value in facts.items()
        ),
        markdown_table(
            ['Metric', ':%'],
            [
                [markdown_text(name), percent(value)]
                for name, value in content['metrics'].items()
            ],
        ),
    ]


def _classes_part(result: ResultFile, out: Path) -> list[str]:
    """Bars of each task and the classes that they leave out."""
    write_csv(
        out / 'classes.csv',
        ['task', 'class', 'split', 'kind', 'measure', 'percent'],
        [
            (
                task.value,
                score.name,
                'seen' if score.is_seen else 'unseen',
                'thing' if score.is_thing else 'stuff',
                MEASURES[task],
                '' if score.value is None else f'{score.value:.4f}',
            )
            for task, scores in result.classes.items()
            for score in scores
        ],
    )
    parts = [
        '## Classes',
        'All numbers: [classes.csv](classes.csv). Unseen classes are '
        'starred, their bars orange and hatched.',
    ]
    for task, scores in result.classes.items():
        title, picture = task.value.capitalize(), f'classes_{task.value}.png'
        parts.append(f'### {title}: {MEASURES[task]}')
        if sorted_scores(scores):
            figure = class_bars(
                scores, title=f'{title} segmentation', measure=MEASURES[task]
            )
            save_figure(figure, out / picture)
            parts.append(f'![{task.value}]({picture})')
        absent = [score.name for score in scores if score.value is None]
        if absent:
            parts.append(
                f'Neither in the ground truth nor predicted ({len(absent)}): '
                + markdown_text(', '.join(absent))
            )
    return parts


def _confusion_part(
    collector: Collector, extent: Extent, out: Path
) -> list[str]:
    """The matrix, its shares of seen and unseen, the largest mistakes."""
    counts, vocabulary = collector.confusion, collector.vocabulary
    if counts is None:
        return []
    write_csv(
        out / 'confusion.csv',
        ['true class', 'pixels', *vocabulary.names],
        [
            (name, row.sum(), *(f'{100 * share:.4f}' for share in shares))
            for name, row, shares in zip(
                vocabulary.names, counts, row_shares(counts), strict=True
            )
        ],
    )
    classes = most_confused(counts, extent.classes)
    figure = confusion_figure(counts, vocabulary, classes)
    save_figure(figure, out / 'confusion.png')
    shown = f'The {len(classes)} most confused of {len(counts)} classes.'
    if len(classes) == len(counts):
        shown = f'All {len(counts)} classes.'
    kinds = ('right', 'another seen', 'another unseen')
    splits = split_shares(counts, vocabulary.is_seen)
    names = [
        markdown_text(name if is_seen else f'★ {name}')
        for name, is_seen in zip(
            vocabulary.names, vocabulary.is_seen, strict=True
        )
    ]
    return [
        '## Confusion',
        'From the semantic result; ignored pixels do not count. Where the '
        'pixels of seen and of unseen classes went:',
        markdown_table(
            ['True class', *(f':{kind}, %' for kind in kinds)],
            [
                [split, *(percent(100 * shares[kind]) for kind in kinds)]
                for split, shares in splits.items()
            ],
        ),
        f'{shown} All numbers, a row for each true class: '
        '[confusion.csv](confusion.csv).',
        '![confusion](confusion.png)',
        'The largest confusions, by their share of the true class:',
        markdown_table(
            ['True class', 'Taken for', ':% of its pixels', ':Pixels'],
            [
                [
                    names[mistake.gt],
                    names[mistake.pred],
                    percent(100 * mistake.share),
                    f'{mistake.pixels:,}',
                ]
                for mistake in largest_mistakes(counts, extent.mistakes)
            ],
        ),
    ]


def _gallery_part(
    collector: Collector, extent: Extent, out: Path
) -> list[str]:
    """Ground truth and prediction of the worst images of each task."""
    tasks = [task for task in Task if task in collector.worst]
    write_csv(
        out / 'images.csv',
        ['image', *(f'{task.value} {SCORE_NAMES[task]}' for task in tasks)],
        [
            (name, *(f'{scores[task]:.4f}' for task in tasks))
            for name, scores in collector.scores
        ],
    )
    make_folder(out / 'gallery')
    worst = {task: collector.worst[task].sorted() for task in tasks}
    parts = [
        '## Worst images',
        f'Instances that score below {extent.score_thr:g} are neither drawn '
        'nor counted. Scores of all images: [images.csv](images.csv).',
    ]
    total = sum(map(len, worst.values()))
    with tqdm(total=total, desc='drawing', unit='picture') as bar:
        for task, specimens in worst.items():
            parts += [
                f'### {task.value.capitalize()}',
                f'{SCORE_NAMES[task]}: {_EXPLAINED[task]}.',
            ]
            for number, (score, specimen) in enumerate(specimens, start=1):
                path = f'gallery/{task.value}_{number:02d}.png'
                drawn = _draw(task, score, specimen, collector.vocabulary)
                write_picture(drawn, out / path)
                name = markdown_text(specimen.name)
                parts += [f'{name}: {score:.1f} %', f'![{name}]({path})']
                bar.update()
    return parts


def _draw(
    task: Task, score: float, specimen: Specimen, vocabulary: Vocabulary
) -> np.ndarray:
    image = read_rgb(specimen.sample['img_path'])
    gt = gt_regions(specimen.sample, vocabulary)[task]
    return panel(
        image,
        {
            'ground truth': {task: gt},
            'prediction': {task: specimen.prediction},
        },
        vocabulary,
        title=f'{specimen.name}: {SCORE_NAMES[task]} {score:.1f}',
    )
