"""The few names that mmdet's panoptic metric takes from panopticapi.

That package is not on PyPI, so most systems lack it. The counting itself is
mmdet's; what is missing are sums of counts and the id encoding.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from mmdet.evaluation.functional import panoptic_utils
from mmdet.evaluation.metrics import coco_panoptic_metric


@dataclass
class ClassCounts:
    """Outcome of matching the segments of one class."""

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0


class PanopticCounts:
    """Counts of each category; two of them can be added."""

    def __init__(self) -> None:
        self._of_class: dict[int, ClassCounts] = defaultdict(ClassCounts)

    def __getitem__(self, category: int) -> ClassCounts:
        return self._of_class[category]

    def __iadd__(self, other: 'PanopticCounts') -> 'PanopticCounts':
        for category, theirs in other._of_class.items():
            mine = self[category]
            mine.iou += theirs.iou
            mine.tp += theirs.tp
            mine.fp += theirs.fp
            mine.fn += theirs.fn
        return self

    def pq_average(
        self, categories: Mapping[int, Mapping[str, Any]], isthing: bool | None
    ) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
        """Means over the categories that have a segment, and each one's.

        Args:
            categories: The categories by id.
            isthing: Whether only things or only stuff count; ``None`` for
                both.
        """
        of_class = {}
        for category, about in categories.items():
            if isthing is not None and bool(about['isthing']) != isthing:
                continue
            found = self[category]
            weight = found.tp + (found.fp + found.fn) / 2
            of_class[category] = {
                'pq': found.iou / weight if weight else 0.0,
                'sq': found.iou / found.tp if found.tp else 0.0,
                'rq': found.tp / weight if weight else 0.0,
                'weight': weight,
            }
        counted = [c for c in of_class.values() if c['weight']]
        means = {
            key: sum(c[key] for c in counted) / max(len(counted), 1)
            for key in ('pq', 'sq', 'rq')
        }
        return {**means, 'n': len(counted)}, of_class


def rgb2id(colours: np.ndarray) -> np.ndarray:
    """Ids of an RGB map, (H, W, 3) to (H, W) int32."""
    wide = colours.astype(np.int32)
    return wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2]


def id2rgb(ids: np.ndarray) -> np.ndarray:
    """RGB of an id map, (H, W) to (H, W, 3) uint8."""
    return np.stack(
        [ids % 256, ids // 256 % 256, ids // 65536], axis=-1
    ).astype(np.uint8)


@contextmanager
def with_panopticapi() -> Iterator[None]:
    """Let mmdet's metric run, with panopticapi or with what is here."""
    if coco_panoptic_metric.panopticapi is not None:
        yield
        return
    with (
        mock.patch.multiple(
            panoptic_utils, PQStat=PanopticCounts, rgb2id=rgb2id
        ),
        mock.patch.multiple(
            coco_panoptic_metric,
            create=True,
            panopticapi=True,
            VOID=0,
            PQStat=PanopticCounts,
            id2rgb=id2rgb,
            rgb2id=rgb2id,
        ),
    ):
        yield
