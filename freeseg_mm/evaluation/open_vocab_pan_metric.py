from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from freeseg_mm.registry import METRICS

from .ground_truth import read_panoptic_gt
from .panoptic_quality import count_panoptic, panoptic_quality
from .per_class_metric import PerClassMetric, id_map_of, prediction_of
from .splits import split_means


@METRICS.register_module()
class OpenVocabPanMetric(PerClassMetric, BaseMetric):
    """Panoptic quality over seen, unseen and all classes.

    All classes are predicted together (generalized protocol, paper, Sec.
    4.1). A class counts if the ground truth or a prediction holds a segment
    of it that is not ignored. Needs no panopticapi, and equals it.

    Results, percent: ``PQ_seen``, ``PQ_unseen``, ``PQ`` and the same of
    ``SQ`` and ``RQ``.
    """

    default_prefix = 'panoptic'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the segments of each image.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_panoptic_seg`` (``sem_seg``
                (1, H, W) int segment ids at original size, ``segments_info``
                with ``id`` and ``label`` each), ``img_id``, ``ori_shape``,
                ``seg_map_path`` and ``segments``.

        Raises:
            FileNotFoundError: If a panoptic PNG does not exist.
            ValueError: If a panoptic PNG or a prediction is unusable; the
                file or the image is named.
        """
        for sample in data_samples:
            pred = prediction_of(sample, 'pred_panoptic_seg')
            gt_ids = read_panoptic_gt(sample)
            try:
                counts = count_panoptic(
                    id_map_of(pred),
                    pred['segments_info'],
                    gt_ids,
                    sample['segments'],
                    len(self.vocabulary),
                )
            except ValueError as error:
                raise ValueError(
                    f'image {sample["img_id"]}, pred_panoptic_seg: {error}'
                ) from error
            self.results.append(counts)

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Sum the counts of all images and average over the classes."""
        num_classes = len(self.vocabulary)
        counts = sum(results, np.zeros((4, num_classes)))
        values = {
            name: 100 * quality
            for name, quality in panoptic_quality(counts).items()
        }
        self.report_classes(
            'Panoptic segmentation', values, range(num_classes)
        )
        return split_means(values, self.vocabulary.is_seen)
