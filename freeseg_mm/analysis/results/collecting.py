"""What is remembered of each image while a test runs."""

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from freeseg_mm.evaluation.ground_truth import IGNORED, read_semantic_gt
from freeseg_mm.evaluation.per_class_metric import id_map_of
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.visualization import TaskRegions, prediction_regions

from .confusion import count_confusion
from .image_scores import image_scores

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


# What drawing the truth needs.
_TRUTH_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'seg_map_path',
    'sem_seg_path',
    'segments',
)


@dataclass(frozen=True)
class Specimen:
    """An image kept to be drawn.

    Attributes:
        sample: Where its image and its label files are.
        prediction: The prediction of the task it was kept for.
    """

    sample: Mapping[str, Any]
    prediction: TaskRegions

    @property
    def name(self) -> str:
        """File name of the image."""
        return Path(self.sample['img_path']).name


class Collector:
    """Confusion of classes, scores of images, and the worst answers.

    Memory grows with the number of images by a few numbers each; only the
    worst answers are held.

    Args:
        vocabulary: What labels refer to.
        num_worst: How many of the worst answers of each task to hold.
        score_thr: Instances that score lower do not count here.

    Attributes:
        confusion: Pixels by true and predicted class, (C, C) int64; ``None``
            until a semantic result comes.
        scores: Per image, its file name and its score by task, percent.
        worst: By task answered, the worst images.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, num_worst: int, score_thr: float
    ) -> None:
        self.vocabulary = vocabulary
        self.confusion: np.ndarray | None = None
        self.scores: list[tuple[str, dict[Task, float]]] = []
        self.worst: dict[Task, Worst[Specimen]] = {}
        self._num_worst = num_worst
        self._score_thr = score_thr

    def add(self, sample: Mapping[str, Any]) -> None:
        """Take a tested sample.

        Args:
            sample: With its predictions, ``img_path``, and what the metrics
                read the truth from.

        Raises:
            FileNotFoundError: If a label file does not exist.
            ValueError: If a label file or a prediction is unusable.
        """
        predictions = prediction_regions(sample, score_thr=self._score_thr)
        counts = None
        if Task.SEMANTIC in predictions:
            num_classes = len(self.vocabulary)
            counts = count_confusion(
                id_map_of(sample['pred_sem_seg']),
                read_semantic_gt(sample, num_classes),
                num_classes,
                IGNORED,
            )
            known = self.confusion
            self.confusion = counts if known is None else known + counts
        scores = image_scores(sample, predictions, self.vocabulary, counts)
        self.scores.append((Path(sample['img_path']).name, scores))
        for task, prediction in predictions.items():
            place = {k: sample[k] for k in _TRUTH_KEYS if k in sample}
            worst = self.worst.setdefault(task, Worst(self._num_worst))
            worst.offer(scores[task], partial(Specimen, place, prediction))


class CollectHook(Hook):
    """Show a collector every answer of a test, and the user how far it is.

    Args:
        collector: What takes the answers.
    """

    priority = 'VERY_LOW'

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self._bar: tqdm | None = None

    def before_test_epoch(self, runner: Runner) -> None:
        """Open the progress bar."""
        total = len(runner.test_dataloader.dataset)
        self._bar = tqdm(total=total, desc='testing', unit='image')

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Hand over the answers of a batch."""
        for sample in outputs:
            self.collector.add(sample.to_dict())
        if self._bar is not None:
            self._bar.update(len(outputs))

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Close the progress bar; what follows takes its own time."""
        if self._bar is not None:
            self._bar.close()
