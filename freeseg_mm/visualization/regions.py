"""Regions to draw: from label files, training targets and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from PIL import Image

from freeseg_mm.evaluation.ground_truth import (
    IGNORED,
    read_panoptic_gt,
    read_semantic_gt,
)
from freeseg_mm.structures import (
    Task,
    Vocabulary,
    task_targets,
    void_label,
)
from freeseg_mm.utils.masks import fitting, nearest

# Sources of regions that are no predictions.
TARGETS = 'targets'
GROUND_TRUTH = 'ground truth'


@dataclass(frozen=True)
class Region:
    """Pixels with a class.

    Attributes:
        mask: (H, W), bool.
        label: Position of the class in the vocabulary.
        score: Confidence in [0, 1], ``None`` where there is none.
        track: Number of the object in a video, ``None`` where there is none.
    """

    mask: np.ndarray
    label: int
    score: float | None = None
    track: int | None = None


@dataclass(frozen=True)
class TaskRegions:
    """The regions of one task on one image.

    Attributes:
        regions: The most important first; earlier ones are drawn over later
            ones.
        ignored: Pixels without a label or segment, (H, W) bool, or ``None``
            for none.
    """

    regions: Sequence[Region] = field(default_factory=list)
    ignored: np.ndarray | None = None


def known_regions(
    sample: DetDataSample, vocabulary: Vocabulary
) -> tuple[str, dict[Task, TaskRegions]] | None:
    """Regions of a sample that are known before anything is predicted.

    Args:
        sample: On the CPU.
        vocabulary: Classes of its labels.

    Returns:
        :data:`TARGETS` and those a training sample carries, else
        :data:`GROUND_TRUTH` and what the label files of a test sample hold;
        ``None`` if there is neither.

    Raises:
        ValueError: If a label file is unusable; it is named.
        FileNotFoundError: If a label file is missing.
    """
    if 'gt_sem_seg' in sample and 'segments' in sample:
        return TARGETS, _target_regions(sample, vocabulary)
    if 'seg_map_path' in sample and 'segments' in sample:
        return GROUND_TRUTH, gt_regions(sample.metainfo, vocabulary)
    return None


def gt_regions(
    sample: Mapping[str, Any], vocabulary: Vocabulary
) -> dict[Task, TaskRegions]:
    """Read the ground truth of all three tasks of a test sample.

    Args:
        sample: With ``ori_shape``, ``seg_map_path``, ``segments`` and, if
            there is one, ``sem_seg_path``.
        vocabulary: Classes of the segments' labels.

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
        Task.SEMANTIC: semantic_regions(classes, IGNORED),
        Task.INSTANCE: TaskRegions(things, unlabelled),
        Task.PANOPTIC: TaskRegions(panoptic, unlabelled),
    }


def prediction_regions(
    sample: Mapping[str, Any], num_classes: int, *, score_thr: float = 0.3
) -> dict[Task, TaskRegions]:
    """Collect the predictions of a model on one image.

    Args:
        sample: With any of ``pred_sem_seg``, ``pred_instances`` and
            ``pred_panoptic_seg``; a ``DetDataSample`` gives it by
            ``to_dict()``. Tensors may be on any device.
        num_classes: Size of the vocabulary.
        score_thr: Instances that score lower are not shown.

    Returns:
        Regions of each predicted task, instances best first. Pixels without
        a class or a panoptic segment are ignored.
    """
    found = {}
    if (semantic := sample.get('pred_sem_seg')) is not None:
        found[Task.SEMANTIC] = semantic_regions(
            _id_map(semantic), void_label(num_classes)
        )
    if (instances := sample.get('pred_instances')) is not None:
        scores, labels, masks = (
            _array(instances[key]) for key in ('scores', 'labels', 'masks')
        )
        found[Task.INSTANCE] = TaskRegions(
            [
                Region(masks[i].astype(bool), int(labels[i]), float(scores[i]))
                for i in np.argsort(-scores, kind='stable')
                if scores[i] >= score_thr
            ]
        )
    if (panoptic := sample.get('pred_panoptic_seg')) is not None:
        ids, segments = _id_map(panoptic), panoptic['segments_info']
        found[Task.PANOPTIC] = TaskRegions(
            [
                Region(ids == s['id'], s['label'], s.get('score'))
                for s in segments
            ],
            ~np.isin(ids, [s['id'] for s in segments]),
        )
    return found


def semantic_regions(label_map: np.ndarray, void: int) -> TaskRegions:
    """Regions of a map of class labels, smallest label first.

    Args:
        label_map: (H, W), integers.
        void: Label of the pixels that are ignored.
    """
    is_void = np.equal(label_map, void)
    return TaskRegions(
        [
            Region(np.equal(label_map, label), int(label))
            for label in np.unique(label_map[~is_void])
        ],
        is_void,
    )


def shrink(
    image: np.ndarray, views: Mapping[Task, TaskRegions], max_side: int
) -> tuple[np.ndarray, dict[Task, TaskRegions]]:
    """Make an image and its regions smaller.

    Args:
        image: RGB, (H, W, 3), uint8.
        views: Regions of each task, of any size.
        max_side: A larger image is shrunk to this longer side in pixels.

    Returns:
        The image, (H', W', 3), and the regions at its size.

    Raises:
        ValueError: If ``max_side`` is not positive.
    """
    if max_side < 1:
        raise ValueError(f'max_side: expected at least 1, got {max_side}')
    height, width = image.shape[:2]
    size = fitting((height, width), max_side)
    smaller = {
        task: TaskRegions(
            [
                replace(region, mask=nearest(region.mask, size))
                for region in found.regions
            ],
            found.ignored
            if found.ignored is None
            else nearest(found.ignored, size),
        )
        for task, found in views.items()
    }
    return np.asarray(Image.fromarray(image).resize(size[::-1])), smaller


def _target_regions(
    sample: DetDataSample, vocabulary: Vocabulary
) -> dict[Task, TaskRegions]:
    segment_map = sample.gt_sem_seg.sem_seg.squeeze(0)
    regions = {}
    for task in Task:
        targets = task_targets(segment_map, sample.segments, vocabulary, task)
        regions[task] = TaskRegions(
            [
                Region(mask, label)
                for mask, label in zip(
                    targets.masks.numpy(), targets.labels.tolist(), strict=True
                )
            ],
            ~targets.valid.numpy(),
        )
    return regions


def _id_map(prediction: Mapping[str, Any]) -> np.ndarray:
    """(1, H, W) or (H, W) ids to (H, W)."""
    ids = _array(prediction['sem_seg'])
    return ids.reshape(ids.shape[-2:])


def _array(values: Any) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy()
