"""One test of a checkpoint: counts, scores and worst images of it."""

import io
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from freeseg_mm.evaluation.ground_truth import IGNORED, read_semantic_gt
from freeseg_mm.evaluation.per_class_metric import id_map_of
from freeseg_mm.evaluation.results import write_results
from freeseg_mm.evaluation.semantic_iou import count_class_pixels
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
        self._kept: list[tuple[float, Item]] = []

    def offer(self, score: float, make_item: Callable[[], Item]) -> None:
        """Keep an item if it is among the worst so far.

        Args:
            score: Score of the item; NaN (nothing to judge) is never kept.
            make_item: Called only if the item is kept.
        """
        place = bisect_right(self._kept, score, key=itemgetter(0))
        if place < self._number and not math.isnan(score):
            self._kept.insert(place, (score, make_item()))
            del self._kept[self._number :]

    def sorted(self) -> list[tuple[float, Item]]:
        """List score and item, the worst first."""
        return list(self._kept)


_GT_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'seg_map_path',
    'sem_seg_path',
    'segments',
)
"""Keys of a sample that drawing its ground truth reads."""


@dataclass(frozen=True)
class Specimen:
    """An image kept to be drawn.

    Attributes:
        sample: Paths and shape of its image and label files.
        prediction: The prediction of the task it was kept for.
    """

    sample: Mapping[str, Any]
    prediction: TaskRegions

    @property
    def name(self) -> str:
        """File name of the image."""
        return Path(self.sample['img_path']).name


class Collector:
    """Confusion of classes, scores of images, and the worst predictions.

    Memory grows with the number of images by a few numbers each; only the
    worst predictions are held.

    Args:
        vocabulary: The classes that labels refer to.
        num_worst: Number of the worst predictions of each task to hold.
        score_thr: Instances that score lower do not count here.

    Attributes:
        confusion: Pixels by true and predicted class, (C, C) int64; ``None``
            until a semantic result comes.
        scores: Per image, its file name and its score by task, percent.
        worst: By predicted task, the worst images.
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
                read the ground truth from.

        Raises:
            FileNotFoundError: If a label file does not exist.
            ValueError: If a label file or a prediction is unusable.
        """
        num_classes = len(self.vocabulary)
        predictions = prediction_regions(
            sample, num_classes, score_thr=self._score_thr
        )
        counts = None
        if Task.SEMANTIC in predictions:
            maps = (
                id_map_of(sample['pred_sem_seg']),
                read_semantic_gt(sample, num_classes),
            )
            counts = count_class_pixels(*maps, num_classes, IGNORED)
            confusion = count_confusion(*maps, num_classes, IGNORED)
            if self.confusion is not None:
                confusion += self.confusion
            self.confusion = confusion
        scores = image_scores(sample, predictions, self.vocabulary, counts)
        self.scores.append((Path(sample['img_path']).name, scores))
        for task, prediction in predictions.items():
            place = {k: sample[k] for k in _GT_KEYS if k in sample}
            worst = self.worst.setdefault(task, Worst(self._num_worst))
            worst.offer(scores[task], partial(Specimen, place, prediction))


class CollectHook(Hook):
    """Hand every prediction of a test to a collector, with a progress bar.

    Args:
        collector: The collector.
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
        """Hand over the predictions of a batch."""
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


def run_test(
    config: Config,
    checkpoint: Path,
    out: Path,
    *,
    config_path: str,
    options: Mapping[str, Any],
    num_worst: int,
    score_thr: float,
) -> Collector:
    """Test as ``tools/test.py`` does and collect every prediction.

    Args:
        config: The config, with its options applied; it is changed.
        checkpoint: The weights.
        out: Folder that gets ``results.json``, as ``tools/test.py --out``
            writes it, and mmengine's log under ``run``.
        config_path: File that the config was read from.
        options: Entries of the config that the command line changed.
        num_worst: See :class:`Collector`.
        score_thr: See :class:`Collector`.

    Raises:
        FileNotFoundError: If the checkpoint or a file of the dataset does
            not exist.
        ValueError: If weights, data or predictions are unusable.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    config.load_from, config.resume = str(checkpoint), False
    config.work_dir = str(out / 'run')
    config.launcher = 'none'
    config.log_level = 'WARNING'
    # it imports models, which reading logs and results does without
    from freeseg_mm.engine.checkpoint import WeightsInfo

    info = WeightsInfo.read(checkpoint)
    # pycocotools talks about each of its steps
    with redirect_stdout(io.StringIO()):
        runner = Runner.from_cfg(config)
        info.check(runner.model)
        dataset = runner.test_loop.dataloader.dataset
        collector = Collector(
            Vocabulary.from_dict(dataset.metainfo['vocabulary']),
            num_worst=num_worst,
            score_thr=score_thr,
        )
        runner.register_hook(CollectHook(collector))
        metrics = runner.test()
    write_results(
        out / 'results.json',
        metrics,
        runner.test_loop.evaluator.metrics,
        dataset.metainfo,
        config_path=config_path,
        checkpoint=str(checkpoint),
        test_cfg=config.model.test_cfg,
        options=options,
        images=len(dataset),
    )
    return collector
