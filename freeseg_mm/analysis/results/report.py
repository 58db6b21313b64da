"""All pictures, tables and the page of one analysis."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.structures import Task, Vocabulary

from . import index
from .class_bars import class_bars, sorted_scores
from .collecting import Collector
from .confusion import (
    confusion_figure,
    largest_mistakes,
    most_confused,
    row_shares,
)
from .figures import save_figure
from .files import write_csv
from .gallery import write_gallery
from .image_scores import SCORE_NAMES
from .result_file import (
    MEASURES,
    ClassScore,
    ResultFile,
    check_belongs,
    read_result_file,
)
from .running import run_test


@dataclass(frozen=True)
class Extent:
    """How much to show.

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
        config_path: Where the config was read from.
        options: Entries of the config that the command line changed.
        extent: How much to show.

    Returns:
        The page, Markdown.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the results are of another config, or a file is
            unusable.
    """
    if not source.is_file():
        raise FileNotFoundError(f'no checkpoint or result file {source}')
    collector = None
    if source.suffix == '.json':
        result = read_result_file(source)
        check_belongs(result, config_path, _vocabulary(config))
        out.mkdir(parents=True, exist_ok=True)
    else:
        out.mkdir(parents=True, exist_ok=True)
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
    parts = [index.head_part(result), _write_classes(result, out)]
    if collector is None:
        parts.append(index.no_predictions_part(result))
    else:
        parts += _write_predictions(collector, extent, out)
    page = out / 'index.md'
    page.write_text('\n\n'.join(parts) + '\n', 'utf-8')
    return page


def _vocabulary(config: Config) -> Vocabulary:
    """What the config is tested with; needs no images or annotations."""
    dataset = dataset_configs(config, 'test')[0]
    return build_dataset(
        {**dataset, 'lazy_init': True, 'pipeline': []}
    ).vocabulary


def _write_classes(result: ResultFile, out: Path) -> str:
    write_csv(
        out / index.CLASSES_CSV,
        ['task', 'class', 'split', 'kind', 'measure', 'percent'],
        [
            (task.value, *_class_row(score, MEASURES[task]))
            for task, scores in result.classes.items()
            for score in scores
        ],
    )
    for task, scores in result.classes.items():
        if not sorted_scores(scores):
            continue
        figure = class_bars(
            scores,
            title=f'{task.value.capitalize()} segmentation',
            measure=MEASURES[task],
        )
        save_figure(figure, out / index.bars_picture(task))
    return index.classes_part(result.classes)


def _class_row(score: ClassScore, measure: str) -> tuple[object, ...]:
    return (
        score.name,
        'seen' if score.is_seen else 'unseen',
        'thing' if score.is_thing else 'stuff',
        measure,
        '' if score.value is None else f'{score.value:.4f}',
    )


def _write_predictions(
    collector: Collector, extent: Extent, out: Path
) -> list[str]:
    vocabulary = collector.vocabulary
    parts = []
    if collector.confusion is not None:
        parts.append(
            _write_confusion(collector.confusion, vocabulary, extent, out)
        )
    tasks = [task for task in Task if task in collector.worst]
    write_csv(
        out / index.IMAGES_CSV,
        ['image', *(f'{task.value} {SCORE_NAMES[task]}' for task in tasks)],
        [
            (name, *(f'{scores[task]:.4f}' for task in tasks))
            for name, scores in collector.scores
        ],
    )
    gallery = write_gallery(collector.worst, vocabulary, out)
    return [*parts, index.gallery_part(gallery, extent.score_thr)]


def _write_confusion(
    counts: np.ndarray, vocabulary: Vocabulary, extent: Extent, out: Path
) -> str:
    write_csv(
        out / index.CONFUSION_CSV,
        ['true class', 'pixels', *vocabulary.names],
        [
            (name, row.sum(), *(f'{100 * share:.4f}' for share in shares))
            for name, row, shares in zip(
                vocabulary.names, counts, row_shares(counts), strict=True
            )
        ],
    )
    shown = most_confused(counts, extent.classes)
    save_figure(
        confusion_figure(counts, vocabulary, shown),
        out / index.CONFUSION_PICTURE,
    )
    mistakes = largest_mistakes(counts, extent.mistakes)
    return index.confusion_part(counts, vocabulary, mistakes, len(shown))
