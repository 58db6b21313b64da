"""The result file of a test: written, read, held to the config it is of."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import read_json, write_text

_KEYS = ('metrics', 'config', 'checkpoint', 'vocabulary', 'per_class')
MEASURES = {Task.SEMANTIC: 'IoU', Task.INSTANCE: 'AP', Task.PANOPTIC: 'PQ'}
"""Measure that the classes of a task are compared by."""


def write_results(
    path: Path,
    metrics: Mapping[str, float],
    evaluators: Sequence[BaseMetric],
    metainfo: Mapping[str, Any],
    *,
    config_path: str,
    checkpoint: str,
    test_cfg: Mapping[str, Any],
    options: Mapping[str, Any],
    images: int,
) -> None:
    """Write metrics with all that is needed to tell what they are of.

    Args:
        path: The JSON file.
        metrics: Name to value, percent; NaN (nothing to average) is written
            as ``null``.
        evaluators: The metrics that ran; those with ``per_class_results``
            add their table.
        metainfo: Of the dataset, with its vocabulary.
        config_path: The config that ran.
        checkpoint: The weights that ran.
        test_cfg: The model's test settings.
        options: Entries of the config that the command line changed.
        images: Number of images tested.
    """
    vocabulary = Vocabulary.from_dict(metainfo['vocabulary'])
    content = {
        'metrics': _finite(metrics),
        'config': config_path,
        'checkpoint': checkpoint,
        'vocabulary': {
            'name': vocabulary.name,
            'hash': vocabulary.content_hash,
            'classes': len(vocabulary),
        },
        'test_cfg': test_cfg,
        'options': options,
        'images': images,
        'per_class': {
            evaluator.prefix: {
                name: _finite(values)
                for name, values in evaluator.per_class_results.items()
            }
            for evaluator in evaluators
            if hasattr(evaluator, 'per_class_results')
        },
    }
    write_text(json.dumps(content, indent=1) + '\n', path)


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(v, float) and math.isnan(v) else v
        for key, v in values.items()
    }


@dataclass(frozen=True)
class ClassScore:
    """One class in one task.

    Attributes:
        name: Of the class.
        is_seen: Training had labels of it.
        is_thing: It is countable.
        value: Percent, ``None`` if the class does not occur.
    """

    name: str
    is_seen: bool
    is_thing: bool
    value: float | None


@dataclass(frozen=True)
class ResultFile:
    """Results of one test.

    Attributes:
        path: The file.
        content: All of it.
        classes: By task, its classes in the order of the vocabulary.
    """

    path: Path
    content: Mapping[str, Any]
    classes: Mapping[Task, tuple[ClassScore, ...]]


def read_result_file(path: Path) -> ResultFile:
    """Read what ``tools/test.py --out`` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none; the file is named.
    """
    content = read_json(path)
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise ValueError(
            f'{path} is no result of a test: it lacks {missing}; expected '
            'what tools/test.py --out writes'
        )
    classes = {
        task: _class_scores(content['per_class'][task.value], task, path)
        for task in Task
        if content['per_class'].get(task.value)
    }
    if not classes:
        raise ValueError(
            f'{path} holds no scores of single classes; test again with '
            'tools/test.py --out and the metrics of freeseg_mm'
        )
    return ResultFile(path, content, classes)


def check_belongs(
    result: ResultFile, config_path: str, vocabulary: Vocabulary
) -> None:
    """Refuse results of another config.

    A config that a run has copied to its work folder has the same file name
    and counts as the same.

    Args:
        result: The results.
        config_path: The config that they should be of.
        vocabulary: The vocabulary that this config is tested with.

    Raises:
        ValueError: If the config's file name or the vocabulary differs.
    """
    tested = result.content['config']
    if Path(tested).stem != Path(config_path).stem:
        raise ValueError(
            f'{result.path} holds results of {tested}, not of {config_path}; '
            'give the config that was tested'
        )
    found = result.content['vocabulary']
    if found['hash'] != vocabulary.content_hash:
        raise ValueError(
            f'{result.path} holds results of vocabulary {found["name"]!r} '
            f'({found["classes"]} classes, {found["hash"]}), but '
            f'{config_path} is tested with {vocabulary.name!r} '
            f'({len(vocabulary)} classes, {vocabulary.content_hash}); give '
            'the config that was tested'
        )


def _class_scores(
    table: Mapping[str, Mapping[str, Any]], task: Task, path: Path
) -> tuple[ClassScore, ...]:
    measure = MEASURES[task]
    try:
        return tuple(
            ClassScore(name, row['is_seen'], row['is_thing'], row[measure])
            for name, row in table.items()
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: the classes of the {task.value} task do not say '
            f"'is_seen', 'is_thing' and {measure!r}: {error!r}"
        ) from error
