"""Sums of counts, by panopticapi's names."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OFFSET = 256**3
VOID = 0


@dataclass
class ClassCounts:
    """Outcome of matching the segments of one class."""

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0


class PQStat:
    """Counts of each category; two of them can be added."""

    def __init__(self) -> None:
        self._of_class: dict[int, ClassCounts] = defaultdict(ClassCounts)

    def __getitem__(self, category: int) -> ClassCounts:
        return self._of_class[category]

    def __iadd__(self, other: 'PQStat') -> 'PQStat':
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
