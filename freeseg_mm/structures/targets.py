"""From one panoptic ground truth to the masks each task supervises (Sec. 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from .task import Task
from .vocabulary import Vocabulary

FIRST_SEGMENT_ID = 256
"""Smallest id a loader gives to a segment of a training image.

Transforms pad label maps with 0 or 255 by default; neither may name a
segment, so that padding is always ignored.
"""


class _Region(TypedDict):
    id: int
    label: int
    iscrowd: int


class Segment(_Region, total=False):
    """One labelled region of an image.

    ``label`` is an index of the sample's vocabulary; ``iscrowd`` is 1 for a
    region that holds several objects that were not told apart. COCO's crowds
    are drawn roughly, so no task uses them; where ``exact`` is 1, every
    pixel of the crowd belongs to the class and semantic segmentation may.
    """

    exact: int


@dataclass
class TaskTargets:
    """What one image asks of the mask proposals for one task.

    Attributes:
        labels: Class index of each mask, (G,), int64.
        masks: The masks, (G, H, W), bool; they do not overlap.
        valid: Labelled pixels, (H, W), bool. All others (void, crowd,
            padding and, in training, unseen classes) take no part in
            matching or in any loss.
    """

    labels: Tensor
    masks: Tensor
    valid: Tensor


def teaches(segment: Segment, task: Task) -> bool:
    """Whether a task may be trained on the pixels of a segment."""
    if not segment['iscrowd']:
        return True
    return task is Task.SEMANTIC and bool(segment.get('exact', 0))


def task_targets(
    segment_map: Tensor,
    segments: Sequence[Segment],
    vocabulary: Vocabulary,
    task: Task,
) -> TaskTargets:
    """Build the masks of one task from the one panoptic ground truth.

    Semantic gives one mask a class, instance one mask a thing object,
    panoptic one mask a thing object or stuff segment. Pixels of stuff are
    valid background of the instance task.

    Args:
        segment_map: Segment id of each pixel, (H, W), integer. Ids that are
            not in ``segments`` are ignored.
        segments: The segments that may be used; crowds among them are
            ignored regions, but for semantic segmentation if exact.
        vocabulary: Names the labels refer to.
        task: The task drawn for this iteration.

    Returns:
        The targets, on the device of ``segment_map``; segments without a
        pixel (cropped away) are left out.
    """
    usable = [segment for segment in segments if teaches(segment, task)]
    device = segment_map.device
    ids = torch.tensor(
        [segment['id'] for segment in usable],
        dtype=segment_map.dtype,
        device=device,
    )
    labels = torch.tensor(
        [segment['label'] for segment in usable],
        dtype=torch.long,
        device=device,
    )
    masks = segment_map[None] == ids[:, None, None]
    valid = masks.any(dim=0)

    if task is Task.INSTANCE:
        is_thing = torch.tensor(
            vocabulary.is_thing, dtype=torch.bool, device=device
        )
        labels, masks = labels[is_thing[labels]], masks[is_thing[labels]]
    elif task is Task.SEMANTIC:
        labels, group = labels.unique(return_inverse=True)
        merged = masks.new_zeros((len(labels), *masks.shape[1:]))
        for class_mask, index in zip(masks, group.tolist(), strict=True):
            merged[index] |= class_mask
        masks = merged

    present = masks.flatten(1).any(dim=1)
    return TaskTargets(labels[present], masks[present], valid)
