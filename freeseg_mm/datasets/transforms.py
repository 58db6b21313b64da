"""Transforms of training samples: segments loaded, a task drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from freeseg_mm.registry import TRANSFORMS
from freeseg_mm.structures import (
    BACKGROUND_SEGMENT_ID,
    FIRST_SEGMENT_ID,
    Segment,
    Task,
)
from freeseg_mm.utils.panoptic_png import (
    BACKGROUND_ID,
    VOID_ID,
    decode_panoptic_png,
)
from freeseg_mm.utils.run_lengths import joint_runs

from .pseudo_labels import paste_pseudo_segments


@TRANSFORMS.register_module()
class LoadPanopticSegments(BaseTransform):
    """Load the segment id of each pixel, unseen and void pixels ignored.

    Segments are renumbered from ``FIRST_SEGMENT_ID``, so that no padding
    value of another transform names one. Pixels of a hidden class become
    0, like void: no later transform can tell their class. Background, known
    to show none of the classes, becomes ``BACKGROUND_SEGMENT_ID``. Pseudo
    segments, if there are any, then take their part of all these. mmdet's
    transforms and ``PackDetInputs`` carry the map on as ``gt_sem_seg``, see
    :func:`~freeseg_mm.structures.task_targets`.

    Required keys: ``img_path`` and ``ori_shape`` of the loaded image,
    ``seg_map_path``, ``segments``, ``hidden_ids``; optional:
    ``pseudo_path`` and ``pseudo_segments``. Modified: ``segments``.
    Added: ``gt_seg_map``, (H, W) int32. Removed: ``hidden_ids``,
    ``pseudo_path``, ``pseudo_segments``.

    Raises:
        ValueError: If the PNG cannot be decoded, has another size than the
            image, or holds ids the annotation does not list; or if
            :func:`~.pseudo_labels.paste_pseudo_segments` refuses the pseudo
            segments.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``gt_seg_map`` and renumber ``segments``."""
        path = results['seg_map_path']
        ids = decode_panoptic_png(path)
        size = tuple(results['ori_shape'])
        if ids.shape != size:
            raise ValueError(
                f'{path}: the panoptic PNG is {ids.shape} (height, width), '
                f'its image {results["img_path"]} {size}; note that an EXIF '
                'orientation turns an image'
            )
        segments: list[Segment] = results['segments']
        new_id = {VOID_ID: 0, BACKGROUND_ID: BACKGROUND_SEGMENT_ID}
        new_id |= dict.fromkeys(results.pop('hidden_ids'), 0)
        for index, segment in enumerate(segments):
            new_id[segment['id']] = FIRST_SEGMENT_ID + index
        runs, pixels = joint_runs(ids)
        present, inverse = np.unique(runs, return_inverse=True)
        unknown = [int(i) for i in present if int(i) not in new_id]
        if unknown:
            raise ValueError(
                f'{path}: segment ids {unknown} are in the panoptic PNG but '
                "not in its annotation's segments_info"
            )
        lookup = np.array([new_id[int(i)] for i in present], dtype=np.int32)
        segment_map = np.repeat(lookup[inverse], pixels)
        results['gt_seg_map'] = segment_map.reshape(size)
        results['segments'] = [
            {**segment, 'id': FIRST_SEGMENT_ID + index}
            for index, segment in enumerate(segments)
        ]
        if 'pseudo_path' in results:
            results['gt_seg_map'], results['segments'] = paste_pseudo_segments(
                results['gt_seg_map'],
                results['segments'],
                results.pop('pseudo_path'),
                results.pop('pseudo_segments'),
            )
        return results


@TRANSFORMS.register_module()
class MultiTaskSampler(BaseTransform):
    """Choose one of the dataset's tasks, uniformly (paper, Sec. 3.1).

    ``TaskPerBatch`` makes the samples of a batch agree. Draws come from
    NumPy's generator, which mmengine seeds per run, rank and worker and
    brings to the same state when a run is resumed, so that a resumed run
    sees the tasks it would have seen.

    Required key: ``tasks``. Added: ``task``. Removed: ``tasks``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``tasks`` by one ``task``."""
        results['task'] = self._draw(results.pop('tasks'))
        return results

    @cache_randomness
    def _draw(self, tasks: Sequence[Task]) -> Task:
        return tasks[np.random.randint(len(tasks))]
