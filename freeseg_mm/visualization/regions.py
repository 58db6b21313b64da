"""What is drawn of a task: from truth files and predictions to regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from freeseg_mm.evaluation.ground_truth import (
    IGNORED,
    read_panoptic_gt,
    read_semantic_gt,
)
from freeseg_mm.structures import Task, Vocabulary


@dataclass(frozen=True)
class Region:
    """Pixels with a class.

    Attributes:
        mask: (H, W), bool.
        label: Position of the class in the vocabulary.
        score: Confidence in [0, 1], ``None`` where there is none.
    """

    mask: np.ndarray
    label: int
    score: float | None = None


@dataclass(frozen=True)
class TaskRegions:
    """The regions of one task on one image.

    Attributes:
        regions: The most important first; earlier ones are drawn over later
            ones.
        ignored: Pixels about which nothing is said, (H, W) bool, or
            ``None`` for none.
    """

    regions: Sequence[Region] = field(default_factory=list)
    ignored: np.ndarray | None = None


def gt_regions(
    sample: Mapping[str, Any], vocabulary: Vocabulary
) -> dict[Task, TaskRegions]:
    """Read the truth of all three tasks of a test sample.

    Args:
        sample: With ``ori_shape``, ``seg_map_path``, ``segments`` and, if
            there is one, ``sem_seg_path``.
        vocabulary: What the labels of the segments refer to.

    Returns:
        Regions of each task. Void and crowds are ignored; stuff belongs to
        no region of the instance task.

    Raises:
        FileNotFoundError: If a label file does not exist.
        ValueError: If a label file is unusable; it is named.
    """
    classes = read_semantic_gt(sample, len(vocabulary))
    ids = read_panoptic_gt(sample)
    usable = [s for s in sample['segments'] if not s['iscrowd']]
    panoptic = [Region(ids == s['id'], s['label']) for s in usable]
    panoptic = [region for region in panoptic if region.mask.any()]
    unlabelled = ~np.isin(ids, [s['id'] for s in usable])
    things = [r for r in panoptic if vocabulary.is_thing[r.label]]
    return {
        Task.SEMANTIC: TaskRegions(
            _regions_of_classes(classes), classes == IGNORED
        ),
        Task.INSTANCE: TaskRegions(things, unlabelled),
        Task.PANOPTIC: TaskRegions(panoptic, unlabelled),
    }


def prediction_regions(
    sample: Mapping[str, Any], *, score_thr: float = 0.3
) -> dict[Task, TaskRegions]:
    """Collect what a model answered on one image.

    Args:
        sample: With any of ``pred_sem_seg``, ``pred_instances`` and
            ``pred_panoptic_seg``; a ``DetDataSample`` gives it by
            ``to_dict()``. Tensors may be on any device.
        score_thr: Instances that score lower are not shown.

    Returns:
        Regions of each task that was answered, instances best first. Pixels
        without a panoptic segment are ignored.
    """
    readers = {
        Task.SEMANTIC: ('pred_sem_seg', _semantic),
        Task.INSTANCE: (
            'pred_instances',
            lambda pred: _instances(pred, score_thr),
        ),
        Task.PANOPTIC: ('pred_panoptic_seg', _panoptic),
    }
    return {
        task: read(sample[key])
        for task, (key, read) in readers.items()
        if sample.get(key) is not None
    }


def _semantic(prediction: Mapping[str, Any]) -> TaskRegions:
    return TaskRegions(_regions_of_classes(_id_map(prediction)))


def _instances(prediction: Mapping[str, Any], score_thr: float) -> TaskRegions:
    scores = _array(prediction['scores'])
    labels, masks = _array(prediction['labels']), _array(prediction['masks'])
    best_first = np.argsort(-scores, kind='stable')
    return TaskRegions(
        [
            Region(masks[i].astype(bool), int(labels[i]), float(scores[i]))
            for i in best_first
            if scores[i] >= score_thr
        ]
    )


def _panoptic(prediction: Mapping[str, Any]) -> TaskRegions:
    ids = _id_map(prediction)
    segments = prediction['segments_info']
    return TaskRegions(
        [Region(ids == s['id'], s['label'], s.get('score')) for s in segments],
        ~np.isin(ids, [s['id'] for s in segments]),
    )


def _regions_of_classes(classes: np.ndarray) -> list[Region]:
    return [
        Region(classes == label, int(label))
        for label in np.unique(classes)
        if label != IGNORED
    ]


def _id_map(prediction: Mapping[str, Any]) -> np.ndarray:
    """(1, H, W) or (H, W) ids to (H, W)."""
    ids = _array(prediction['sem_seg'])
    return ids.reshape(ids.shape[-2:])


def _array(values: Any) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy()
