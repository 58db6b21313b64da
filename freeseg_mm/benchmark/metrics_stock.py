"""The metrics of mmseg and mmdet, fed with the same predictions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmengine.evaluator import BaseMetric

from freeseg_mm.datasets.preparation.files import read_json
from freeseg_mm.registry import METRICS
from freeseg_mm.structures import Vocabulary

from .metrics_predictions import INSTANCE_OFFSET, Prediction


class StockMetric(ABC):
    """A metric of mmseg or mmdet that can be fed as ours are.

    Args:
        config: Of the metric.
        names: Class names in the order of its labels.
    """

    value_key: str
    """Its main result, percent or a fraction."""

    def __init__(
        self, config: Mapping[str, Any], names: Sequence[str]
    ) -> None:
        self.metric: BaseMetric = METRICS.build(dict(config))
        self.metric.dataset_meta = {'classes': tuple(names)}
        self._names = list(names)

    @abstractmethod
    def prepare(
        self, record: Mapping[str, Any], prediction: Prediction
    ) -> dict[str, Any]:
        """What the metric reads; not timed."""

    def process(self, sample: dict[str, Any]) -> None:
        """Take one sample; timed."""
        self.metric.process({}, [sample])

    def lookup(self, vocabulary: Vocabulary) -> torch.Tensor:
        """Its label of each of our classes, -1 where it has none."""
        return torch.tensor(
            [
                self._names.index(name) if name in self._names else -1
                for name in vocabulary.names
            ]
        )


class StockSemantic(StockMetric):
    """``mmseg.IoUMetric``; its pipeline loads the truth, which is timed."""

    value_key = 'mIoU'

    def __init__(self, vocabulary: Vocabulary) -> None:
        if find_spec('mmseg') is None:
            raise ValueError(
                'mmsegmentation is not installed, whose metric is the measure '
                'here; pip install mmsegmentation'
            )
        super().__init__(
            {'type': 'mmseg.IoUMetric', 'ignore_index': 255}, vocabulary.names
        )

    def prepare(
        self, record: Mapping[str, Any], prediction: Prediction
    ) -> dict[str, Any]:
        """Sample that names its label file."""
        return {
            'sem_seg_path': record['sem_seg_path'],
            'pred_sem_seg': {'data': prediction.classes.clone()},
        }

    def process(self, sample: dict[str, Any]) -> None:
        """Load the truth as mmseg's pipeline does, and count."""
        content = Path(sample['sem_seg_path']).read_bytes()
        truth = mmcv.imfrombytes(
            content, flag='unchanged', backend='pillow'
        ).squeeze()
        sample['gt_sem_seg'] = {'data': torch.from_numpy(truth.copy())[None]}
        super().process(sample)


class StockInstance(StockMetric):
    """``mmdet.CocoMetric`` with masks."""

    value_key = 'segm_mAP'

    def __init__(self, vocabulary: Vocabulary, ann_file: str) -> None:
        super().__init__(
            {'type': 'mmdet.CocoMetric', 'ann_file': ann_file}
            | {'metric': 'segm'},
            _category_names(ann_file),
        )
        self._label = self.lookup(vocabulary)

    def prepare(
        self, record: Mapping[str, Any], prediction: Prediction
    ) -> dict[str, Any]:
        """Sample with its labels."""
        return {
            'img_id': record['img_id'],
            'ori_shape': (record['height'], record['width']),
            'pred_instances': {
                'masks': prediction.masks,
                'labels': self._label[prediction.labels],
                'scores': prediction.scores,
                'bboxes': prediction.boxes,
            },
        }


class StockPanoptic(StockMetric):
    """``mmdet.CocoPanopticMetric``; needs ``with_panopticapi()``."""

    value_key = 'coco_panoptic/PQ'

    def __init__(
        self, vocabulary: Vocabulary, ann_file: str, seg_prefix: str
    ) -> None:
        super().__init__(
            {
                'type': 'mmdet.CocoPanopticMetric',
                'ann_file': ann_file,
                'seg_prefix': seg_prefix,
            },
            _category_names(ann_file),
        )
        # Void has the label after the last one.
        void = torch.tensor([len(self._names)])
        self._label = torch.cat([self.lookup(vocabulary), void])

    def prepare(
        self, record: Mapping[str, Any], prediction: Prediction
    ) -> dict[str, Any]:
        """Sample with its labels in a copy: the metric writes into it."""
        labels = self._label[prediction.ids % INSTANCE_OFFSET]
        numbers = prediction.ids // INSTANCE_OFFSET
        return {
            'img_id': record['img_id'],
            'img_path': record['img_path'],
            'ori_shape': (record['height'], record['width']),
            'pred_panoptic_seg': {
                'sem_seg': numbers * INSTANCE_OFFSET + labels
            },
        }


def _category_names(ann_file: str) -> list[str]:
    """Names in the order of the file, which mmdet gives them labels by."""
    content = read_json(Path(ann_file), ('categories',))
    return [category['name'] for category in content['categories']]
