"""Tasks, segments, and the masks that each task supervises (Sec. 3.1).

A training sample carries its segment map in ``gt_sem_seg``. That is mmdet's
field for class maps, and its transforms and ``PackDetInputs`` handle it as a
label map; here it holds the ids of the sample's ``segments``, not classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

import torch
from torch import Tensor

from .vocabulary import Vocabulary

FIRST_SEGMENT_ID = 256
"""Smallest id a loader gives to a segment of a training image.

Transforms pad label maps with 0 or 255 by default; neither may name a
segment, so that padding is always ignored.
"""


BACKGROUND_SEGMENT_ID = 1
"""Id a loader gives to pixels known to show none of the classes, as VOC's.

They are of no segment: negatives of every mask, without a class.
"""


def void_label(num_classes: int) -> int:
    """Label of a pixel that no mask claims, in a predicted map of C classes.

    It is 255, which mmseg ignores, or C where 255 is a class: a metric counts
    the pixel against its true class and for no other.
    """
    return max(255, num_classes)


class Task(str, Enum):
    """A segmentation task.

    Members compare equal to their plain string, so configs and results can
    hold ``'semantic'``.
    """

    SEMANTIC = 'semantic'
    INSTANCE = 'instance'
    PANOPTIC = 'panoptic'

    @property
    def text(self) -> str:
        """The task name given to CLIP (paper, Sec. 3.2), period included."""
        return f'{self.value} segmentation.'

    @classmethod
    def parse_many(cls, tasks: 'Iterable[str | Task]') -> 'tuple[Task, ...]':
        """Turn task names into members, order kept.

        Raises:
            TypeError: If it is neither a name nor a list of them.
            ValueError: If a name is unknown, given twice, or none is given.
        """
        if not isinstance(tasks, Iterable):
            raise TypeError(f'expected names of tasks, got {tasks!r}')
        given = [tasks] if isinstance(tasks, str) else list(tasks)
        known = [task.value for task in cls]
        unknown = [str(task) for task in given if task not in known]
        if unknown:
            raise ValueError(f'unknown task {unknown}; the tasks are {known}')
        members = tuple(cls(task) for task in given)
        if not members or len(set(members)) != len(members):
            raise ValueError(
                f'expected one to three different tasks of {known}, '
                f'got {[task.value for task in members]}'
            )
        return members


class _Region(TypedDict):
    id: int
    label: int
    iscrowd: int


class Segment(_Region, total=False):
    """One labelled region of an image.

    ``label`` is an index of the sample's vocabulary; ``iscrowd`` is 1 for a
    region of several objects that were not told apart. COCO's crowds
    are drawn roughly, so no task uses them; where ``exact`` is 1, every
    pixel of the crowd belongs to the class and semantic segmentation may.
    """

    exact: int


@dataclass
class TaskTargets:
    """Ground truth of one image for the mask proposals of one task.

    Attributes:
        labels: Class index of each mask, (G,), int64.
        masks: The masks, (G, H, W), bool; they do not overlap.
        valid: Labelled pixels, (H, W), bool, background that is known to
            be none of the classes among them. All others (void, crowd,
            padding and, in training, unseen classes) take no part in
            matching or in any loss.
    """

    labels: Tensor
    masks: Tensor
    valid: Tensor


def teaches(segment: Segment, task: Task) -> bool:
    """Tell whether a task may be trained on the pixels of a segment."""
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
            not in ``segments`` are ignored, but for
            ``BACKGROUND_SEGMENT_ID``.
        segments: The segments that may be used; crowds among them are
            ignored regions, but for semantic segmentation if exact.
        vocabulary: Classes that the labels refer to.
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
    valid = masks.any(dim=0) | (segment_map == BACKGROUND_SEGMENT_ID)

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
