"""What the network is shown of an image, and what is asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample
from PIL import Image
from torch import Tensor

from freeseg_mm.structures import Task, Vocabulary, task_targets

from .regions import Region, TaskRegions, gt_regions

# Where regions come from.
TARGETS = 'targets'
TRUTH = 'truth'


@dataclass(frozen=True)
class SampleView:
    """A sample as it leaves its pipeline.

    Attributes:
        image: RGB, (H, W, 3), uint8.
        regions: What each task asks for; pixels without supervision are
            ignored.
        vocabulary: What the labels refer to.
        source: Where the regions come from, see
            :func:`known_regions`.
        note: What the pipeline did, in words.
    """

    image: np.ndarray
    regions: dict[Task, TaskRegions]
    vocabulary: Vocabulary
    source: str
    note: str


def sample_view(packed: Mapping[str, Any]) -> SampleView:
    """Turn what a pipeline packed into what can be drawn.

    A training sample shows the targets of :func:`task_targets`, which the
    losses are computed from. A test sample carries no targets: it shows the
    truth its label files hold, and the image is brought back to their size.

    Args:
        packed: ``inputs``, BGR, (3, H, W), [0, 255], and ``data_samples``,
            as ``PackDetInputs`` makes them.

    Raises:
        ValueError: If nothing is packed, or the sample has neither targets
            nor label files.
        FileNotFoundError: If a label file of a test sample is missing.
    """
    if not {'inputs', 'data_samples'} <= set(packed):
        raise ValueError(
            f'the pipeline gives {sorted(packed)}, expected inputs and '
            'data_samples; does it end in PackDetInputs?'
        )
    sample: DetDataSample = packed['data_samples']
    image = _to_rgb(packed['inputs'])
    vocabulary: Vocabulary = sample.vocabulary
    known = known_regions(sample, vocabulary)
    if known is None:
        raise ValueError(
            'the pipeline packs neither gt_sem_seg nor seg_map_path, so there '
            'is nothing to draw; load the truth with '
            'freeseg_mm.LoadPanopticSegments, or keep seg_map_path and '
            'segments in the meta_keys of PackDetInputs'
        )
    source, regions = known
    if source == TRUTH:
        height, width = sample.ori_shape
        image = np.asarray(Image.fromarray(image).resize((width, height)))
    return SampleView(image, regions, vocabulary, source, _note(packed))


def known_regions(
    sample: DetDataSample, vocabulary: Vocabulary
) -> tuple[str, dict[Task, TaskRegions]] | None:
    """What is known about a sample, before anything is predicted.

    Args:
        sample: On the CPU.
        vocabulary: What its labels refer to.

    Returns:
        :data:`TARGETS` and those a training sample carries, else
        :data:`TRUTH` and what the label files of a test sample hold; ``None``
        if there is neither.

    Raises:
        ValueError: If a label file is unusable; it is named.
        FileNotFoundError: If a label file is missing.
    """
    if 'gt_sem_seg' in sample and 'segments' in sample:
        return TARGETS, _target_regions(sample, vocabulary)
    if 'seg_map_path' in sample and 'segments' in sample:
        return TRUTH, gt_regions(sample.metainfo, vocabulary)
    return None


def _to_rgb(inputs: Tensor) -> np.ndarray:
    # colour distortion leaves floats, and some beyond the range
    image = inputs.float().round().clamp(0, 255).byte()
    return np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())


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


def _note(packed: Mapping[str, Any]) -> str:
    sample = packed['data_samples']
    height, width = packed['inputs'].shape[-2:]
    parts = [f'{width} x {height}']
    if sample.get('flip'):
        parts.append('flipped')
    if sample.get('task') is not None:
        parts.append(f'{sample.task.value} drawn')
    return ', '.join(parts)
