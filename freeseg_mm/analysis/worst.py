"""The worst of many, holding no more than are asked for."""

import heapq
import math
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar('Item')


class Worst(Generic[Item]):
    """Keep the items with the lowest scores; of equal ones the first.

    Args:
        number: Most items to keep.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._offered = 0
        # the best of those kept comes first, and goes first
        self._kept: list[tuple[float, int, Item]] = []

    def offer(self, score: float, make_item: Callable[[], Item]) -> None:
        """Keep an item if it is among the worst so far.

        Args:
            score: How good it is; NaN (nothing to judge) is never kept.
            make_item: Called only if the item is kept.
        """
        if math.isnan(score) or self._number < 1:
            return
        self._offered += 1
        place = (-score, -self._offered)
        if len(self._kept) < self._number:
            heapq.heappush(self._kept, (*place, make_item()))
        elif place > self._kept[0][:2]:
            heapq.heapreplace(self._kept, (*place, make_item()))

    def sorted(self) -> list[tuple[float, Item]]:
        """Score and item, the worst first."""
        return [
            (-negative, item)
            for negative, _, item in sorted(
                self._kept, key=lambda kept: kept[:2], reverse=True
            )
        ]
