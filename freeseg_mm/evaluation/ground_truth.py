"""The ground truth of a test sample, read from its label files."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import Task, teaches
from freeseg_mm.utils.image_files import (
    IGNORE_INDEX,
    read_class_map,
    require_size,
)
from freeseg_mm.utils.panoptic_png import NO_SEGMENT_IDS, decode_panoptic_png
from freeseg_mm.utils.run_lengths import joint_runs

from .panoptic_quality import index_segments

IGNORED = -1
_MAX_SHOWN = 5


def read_panoptic_gt(sample: Mapping[str, Any]) -> np.ndarray:
    """Read the segment ids of a sample.

    The semantic and the panoptic metric read the same file in turn, so the
    last files are remembered.

    Args:
        sample: Data sample with ``seg_map_path``, ``segments`` (each with
            ``id``) and ``ori_shape`` (H, W).

    Returns:
        Segment ids, (H, W) int32, 0 is void, and background may be
            ``BACKGROUND_ID``; read-only, shared by callers.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be decoded, has another size than the
            image, or holds ids that ``segments`` lacks; it is named.
    """
    path = Path(sample['seg_map_path'])
    ids = _decode_remembered(path, _modification_time(path))
    require_size(path, ids.shape, _size_of(sample))
    listed = [segment['id'] for segment in sample['segments']]
    held = np.unique(joint_runs(ids)[0])
    unknown = held[~np.isin(held, [*listed, *NO_SEGMENT_IDS])].tolist()
    if unknown:
        raise ValueError(
            f'panoptic PNG {path}: ids {unknown[:_MAX_SHOWN]} '
            f'({len(unknown)} in all) are not among the {len(listed)} '
            'segments that the panoptic JSON lists for this image; the PNG '
            'and the JSON do not belong together'
        )
    return ids


def read_semantic_gt(
    sample: Mapping[str, Any], num_classes: int
) -> np.ndarray:
    """Read the class of every pixel of a sample.

    The semantic PNG is used where the sample has one. Otherwise the panoptic
    segments are painted, void and crowds ignored unless they are exact, as
    training on the semantic task does.

    Args:
        sample: Data sample with ``ori_shape`` (H, W) and either
            ``sem_seg_path`` or what :func:`read_panoptic_gt` reads, where
            each segment also has ``label`` and ``iscrowd``.
        num_classes: Size of the vocabulary, C.

    Returns:
        Class of every pixel, (H, W) int64 in [0, C) or ``IGNORED``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is unusable or holds a class beyond the
            vocabulary; it is named.
    """
    if sample.get('sem_seg_path'):
        path = Path(sample['sem_seg_path'])
        classes = read_class_map(path, num_classes).astype(np.int64)
        require_size(path, classes.shape, _size_of(sample))
        classes[classes == IGNORE_INDEX] = IGNORED
        return classes
    ids = read_panoptic_gt(sample)
    segments = sample['segments']
    class_of_position = [IGNORED] + [
        segment['label'] if teaches(segment, Task.SEMANTIC) else IGNORED
        for segment in segments
    ]
    runs, pixels = joint_runs(ids)
    positions = index_segments(runs, [segment['id'] for segment in segments])
    classes = np.array(class_of_position, dtype=np.int64)[positions]
    return np.repeat(classes, pixels).reshape(ids.shape)


def _size_of(sample: Mapping[str, Any]) -> tuple[int, int]:
    height, width = sample['ori_shape'][:2]
    return int(height), int(width)


def _modification_time(path: Path) -> int:
    """Of a missing file 0: decoding has the better message."""
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=4)
def _decode_remembered(path: Path, modified: int) -> np.ndarray:
    ids = decode_panoptic_png(path)
    ids.setflags(write=False)
    return ids
