"""Predictions without a network: the truth, shaken.

Shapes and counts are real, and so is what a metric has to do with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from freeseg_mm.utils.panoptic_png import decode_panoptic_png

INSTANCE_OFFSET = 1000
"""A predicted id is this times the segment's number plus its label."""

_SHIFT = 0.1  # of the sides of a segment
_SWAPPED = 0.15  # of the labels
_MISSED = 0.1  # of the segments


@dataclass(frozen=True)
class Prediction:
    """Answers to all three tasks about one image of (H, W).

    Attributes:
        classes: Class of each pixel, (1, H, W) int64.
        masks: Objects, (N, H, W) bool, best score first.
        labels: (N,) int64.
        scores: (N,) float32 in [0, 1].
        boxes: (N, 4) float32, xyxy.
        ids: Segment of each pixel, (1, H, W) int64, encoded as mmdet does.
        segments: ``id`` and ``label`` of each segment.
    """

    classes: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor
    boxes: torch.Tensor
    ids: torch.Tensor
    segments: list[dict[str, int]]


def shaken_truth(
    record: Mapping[str, Any],
    num_classes: int,
    *,
    usable: Sequence[int],
    things: Sequence[int],
    num_objects: int,
    seed: int,
) -> Prediction:
    """Shake the truth of an image: move masks, swap labels, miss some.

    Args:
        record: Of the data set, with ``seg_map_path`` and ``segments``.
        num_classes: Size of the vocabulary.
        usable: Labels that a segment may be given, at least one.
        things: Labels that an object may be given; without any there are
            no objects.
        num_objects: How many instances to answer, as a network's best N.
        seed: Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    truth = decode_panoptic_png(record['seg_map_path'])
    parts = [
        (truth == segment['id'], segment['label'])
        for segment in record['segments']
        if not segment['iscrowd']
    ]
    parts = [(mask, label) for mask, label in parts if mask.any()]
    ids = np.full(truth.shape, num_classes, dtype=np.int64)  # void
    classes = np.full(truth.shape, rng.choice(usable), dtype=np.int64)
    for number, place in enumerate(rng.permutation(len(parts)), start=1):
        mask, label = parts[place]
        if rng.random() < _MISSED:
            continue
        moved = _move(mask, rng)
        label = int(rng.choice(usable)) if rng.random() < _SWAPPED else label
        ids[moved] = INSTANCE_OFFSET * number + label
        classes[moved] = label
    masks, labels = _objects(parts, truth.shape, things, num_objects, rng)
    # The first copies of the truth are the best known.
    scores = np.sort(rng.random(len(labels)))[::-1]
    return Prediction(
        classes=torch.from_numpy(classes)[None],
        masks=torch.from_numpy(masks),
        labels=torch.from_numpy(labels),
        scores=torch.from_numpy(scores.astype(np.float32)),
        boxes=torch.zeros(len(labels), 4),
        ids=torch.from_numpy(ids)[None],
        segments=[
            {'id': int(i), 'label': int(i) % INSTANCE_OFFSET}
            for i in np.unique(ids)
            if i != num_classes
        ],
    )


def _objects(
    parts: Sequence[tuple[np.ndarray, int]],
    size: tuple[int, ...],
    things: Sequence[int],
    count: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (N, H, W) bool and labels (N,), things first, then again all."""
    order = sorted(parts, key=lambda part: part[1] not in things)
    masks, labels = [], []
    for number in range(count if parts and things else 0):
        mask, label = order[number % len(order)]
        if label not in things or rng.random() < _SWAPPED:
            label = int(rng.choice(things))
        masks.append(_move(mask, rng))
        labels.append(label)
    stacked = np.array(masks, dtype=bool).reshape(-1, *size)
    return stacked, np.array(labels, dtype=np.int64)


def _move(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift a mask by a part of its size; never to nothing."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    moved = np.zeros_like(mask)
    steps = []
    for line in (rows, columns):
        most = int(_SHIFT * (line[-1] - line[0] + 1))
        steps.append(int(rng.integers(-most, most + 1)))
    (to_rows, from_rows), (to_columns, from_columns) = (
        (slice(max(step, 0), size + min(step, 0)), _opposite(step, size))
        for step, size in zip(steps, mask.shape, strict=True)
    )
    moved[to_rows, to_columns] = mask[from_rows, from_columns]
    return moved if moved.any() else mask


def _opposite(step: int, size: int) -> slice:
    return slice(max(-step, 0), size + min(-step, 0))
