from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from freeseg_mm.registry import METRICS

from .ground_truth import IGNORED, read_semantic_gt
from .per_class_metric import PerClassMetric, id_map_of, prediction_of
from .semantic_iou import count_class_pixels, iou_per_class
from .splits import harmonic_mean, split_means


@METRICS.register_module()
class OpenVocabSemMetric(PerClassMetric, BaseMetric):
    """Mean IoU over seen and unseen classes, and their harmonic mean.

    All classes are predicted together (generalized protocol, paper, Sec.
    4.1). A class counts if the ground truth or a prediction holds it.

    Results, percent: ``mIoU_seen``, ``mIoU_unseen``, ``hIoU``, ``mIoU``.
    """

    default_prefix = 'semantic'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each image.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_sem_seg`` (``sem_seg`` (1, H, W)
                int class indices at original size), ``img_id``, ``ori_shape``
                and the ground truth (see
                :func:`~.ground_truth.read_semantic_gt`).

        Raises:
            FileNotFoundError: If a label file does not exist.
            ValueError: If a label file or a prediction is unusable; the file
                or the image is named.
        """
        num_classes = len(self.vocabulary)
        for sample in data_samples:
            pred = id_map_of(prediction_of(sample, 'pred_sem_seg'))
            gt = read_semantic_gt(sample, num_classes)
            try:
                counts = count_class_pixels(pred, gt, num_classes, IGNORED)
            except ValueError as error:
                raise ValueError(
                    f'image {sample["img_id"]}, pred_sem_seg: {error}'
                ) from error
            self.results.append(counts)

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Sum the counts of all images and average over the classes."""
        num_classes = len(self.vocabulary)
        counts = sum(results, np.zeros((3, num_classes), dtype=np.int64))
        iou = 100 * iou_per_class(counts)
        self.report_classes(
            'Semantic segmentation', {'IoU': iou}, range(num_classes)
        )
        means = split_means({'mIoU': iou}, self.vocabulary.is_seen)
        return {
            'mIoU_seen': means['mIoU_seen'],
            'mIoU_unseen': means['mIoU_unseen'],
            'hIoU': harmonic_mean(means['mIoU_seen'], means['mIoU_unseen']),
            'mIoU': means['mIoU'],
        }
