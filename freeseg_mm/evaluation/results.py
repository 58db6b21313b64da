"""The result file of a test run, which reports are made from."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import write_text


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
