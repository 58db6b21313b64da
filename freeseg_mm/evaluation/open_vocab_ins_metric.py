import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation import CocoMetric
from mmengine.logging import print_log

from freeseg_mm.registry import METRICS
from freeseg_mm.utils.coco_masks import annotation_code
from freeseg_mm.utils.files import naming_errors, read_json
from freeseg_mm.utils.names import normal_name

from .per_class_metric import PerClassMetric, prediction_of
from .splits import class_mean, split_means

_LISTS = ('images', 'annotations', 'categories')
_NEEDED = {
    'images': ('id', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'area', 'segmentation'),
    'categories': ('id', 'name'),
}
_MAX_DETECTIONS = 100  # per image and class, as COCO reports AP
_ALL_AREAS = [0, 1e10]
_IOU_50, _IOU_75 = 0, 5  # places in COCO's thresholds 0.5, 0.55 ... 0.95


@METRICS.register_module()
class OpenVocabInsMetric(PerClassMetric, CocoMetric):
    """Mask AP over seen and unseen classes.

    Prediction handling is mmdet's, matching is pycocotools'. The differences:
    classes are matched to the categories of the file by name, the AP of a
    class is not rounded before it is averaged, and only the images that were
    tested count (mmdet counts every image of the file, so that a test on a
    part of it would report the rest as missed; images left out are logged).

    A class counts if the file has an object of it, crowds aside, in the
    tested images. Predictions of classes that the file lacks are left out and
    logged.

    Results, percent: ``mAP_seen``, ``mAP_unseen``, ``mAP``, ``AP50``,
    ``AP75``.

    Args:
        ann_file: COCO instances JSON of things, categories in any order.
        outfile_prefix: Path of a file of the predictions,
            ``<prefix>.segm.json``; ``None`` not to keep them.
        collect_device: Device that merges the results of several processes,
            ``'cpu'`` or ``'gpu'``.
        prefix: Other first part of the result names.

    Raises:
        FileNotFoundError: If there is no ``ann_file``.
        ValueError: If ``ann_file`` is no COCO instances file, or has
            annotation ids that are 0 or occur twice, or damaged masks.
    """

    default_prefix = 'instance'

    def __init__(
        self,
        *,
        ann_file: str,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        if not Path(ann_file).is_file():
            raise FileNotFoundError(
                f'no instances file {ann_file}; the prepare script of the '
                'dataset writes it'
            )
        content = read_json(Path(ann_file), _LISTS)
        with naming_errors(Path(ann_file)):
            for key, needed in _NEEDED.items():
                for entry in content[key]:
                    itemgetter(*needed)(entry)
        try:
            super().__init__(
                ann_file=str(ann_file),
                metric='segm',
                outfile_prefix=outfile_prefix,
                collect_device=collect_device,
                prefix=prefix,
            )
        except ValueError as error:  # pycocotools wants UTF-8 without a mark
            raise ValueError(f'{ann_file}: {error}') from error
        self.ann_file = str(ann_file)
        self._check_ann_file()

    def _check_ann_file(self) -> None:
        content = self._coco_api.dataset
        times = Counter(ann['id'] for ann in content['annotations'])
        wrong = [key for key, count in times.items() if not key or count > 1]
        if wrong:
            raise ValueError(
                f'{self.ann_file}: annotation ids must be unique and not 0 '
                '(pycocotools takes a match with 0 for none); got '
                f'{wrong[:5]} ({len(wrong)} in all)'
            )
        with naming_errors(Path(self.ann_file)):
            sizes = {
                image['id']: (image['height'], image['width'])
                for image in content['images']
            }
            for ann in content['annotations']:
                ann.setdefault('iscrowd', 0)  # pycocotools wants it said
                if ann['image_id'] in sizes:
                    # C code reads it later, and trusts it
                    ann['segmentation'] = annotation_code(
                        ann, sizes[ann['image_id']]
                    )

    def vocabulary_changed(self) -> None:
        """Find the category id of each class, by name.

        Raises:
            ValueError: If the file has a category that is no thing class of
                the vocabulary.
        """
        vocabulary = self.vocabulary
        id_of_name = {
            normal_name(category['name']): category['id']
            for category in self._coco_api.dataset['categories']
        }
        things = vocabulary.things
        unknown = [name for name in id_of_name if name not in things]
        if unknown:
            raise ValueError(
                f'{self.ann_file}: categories {unknown} are no thing classes '
                f'of the vocabulary {vocabulary.name!r} ({len(things)} '
                'things); test with the vocabulary the file was made for'
            )
        self.cat_ids = [id_of_name.get(name) for name in vocabulary.names]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Encode the predictions of each image.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_instances`` (``bboxes`` (n, 4)
                xyxy, ``labels`` (n,), ``scores`` (n,), ``masks`` (n, H, W)
                bool at original size), ``img_id`` and ``ori_shape``.

        Raises:
            ValueError: If an image is not in ``ann_file``, or a prediction
                has labels out of range or masks of another size.
        """
        for sample in data_samples:
            self._check_sample(sample)
        super().process(data_batch, data_samples)

    def _check_sample(self, sample: Mapping[str, Any]) -> None:
        pred = prediction_of(sample, 'pred_instances')
        image = self._coco_api.imgs.get(sample['img_id'])
        where = f'image {sample["img_id"]}, pred_instances'
        if image is None:
            raise ValueError(
                f'image {sample["img_id"]} is not among the '
                f'{len(self._coco_api.imgs)} images of {self.ann_file}; give '
                'the metric the file of the split that is tested'
            )
        size = image['height'], image['width']
        if tuple(pred['masks'].shape[-2:]) != size:
            raise ValueError(
                f'{where}: masks have size {tuple(pred["masks"].shape[-2:])} '
                f'(H, W), expected {size}, that of the original image'
            )
        labels = pred['labels']
        top = len(self.vocabulary) - 1
        if len(labels) and (labels.min() < 0 or labels.max() > top):
            raise ValueError(
                f'{where}: labels {int(labels.min())} to {int(labels.max())}; '
                f'expected 0 to {top}, the positions in the vocabulary'
            )

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Match predictions and ground truth, and average over the classes."""
        predictions = [result for _, result in results]
        image_ids = [result['img_id'] for result in predictions]
        left_out = len(self._coco_api.imgs) - len(set(image_ids))
        if left_out:
            print_log(
                f'{left_out} of {len(self._coco_api.imgs)} images of '
                f'{self.ann_file} were not tested and do not count',
                logger='current',
                level=logging.WARNING,
            )

        coco_eval = COCOeval(
            self._coco_api,
            self._as_coco(self._without_unknown_classes(predictions)),
            'segm',
        )
        coco_eval.params.imgIds = image_ids
        coco_eval.params.maxDets = [_MAX_DETECTIONS]
        coco_eval.params.areaRng = [_ALL_AREAS]
        coco_eval.params.areaRngLbl = ['all']
        coco_eval.evaluate()
        coco_eval.accumulate()

        # (IoU threshold, recall, category, area, detections), -1 for a
        # category without an object
        precision = coco_eval.eval['precision'][:, :, :, 0, 0]
        precision = np.where(precision < 0, np.nan, 100 * precision)
        values = {
            'AP': precision.mean(axis=(0, 1)),
            'AP50': precision[_IOU_50].mean(axis=0),
            'AP75': precision[_IOU_75].mean(axis=0),
        }
        classes = [
            self.cat_ids.index(category_id)
            for category_id in coco_eval.params.catIds
        ]
        self.report_classes('Instance segmentation', values, classes)
        is_seen = [self.vocabulary.is_seen[index] for index in classes]
        return {
            **split_means({'mAP': values['AP']}, is_seen),
            'AP50': class_mean(values['AP50']),
            'AP75': class_mean(values['AP75']),
        }

    def _without_unknown_classes(self, predictions: list[dict]) -> list[dict]:
        """Leave out predictions of classes the file lacks, and say so."""
        has_category = np.array([key is not None for key in self.cat_ids])
        dropped: Counter[int] = Counter()
        kept = []
        for result in predictions:
            keep = has_category[result['labels']]
            dropped.update(result['labels'][~keep].tolist())
            kept.append(
                {
                    'img_id': result['img_id'],
                    'masks': [
                        mask
                        for mask, is_kept in zip(
                            result['masks'], keep, strict=True
                        )
                        if is_kept
                    ],
                    **{
                        field: result[field][keep]
                        for field in ('bboxes', 'scores', 'labels')
                    },
                }
            )
        if dropped:
            names = [self.vocabulary.names[label] for label in dropped]
            print_log(
                f'{dropped.total()} predictions were left out: {self.ann_file}'
                f' has no category {sorted(names)}',
                logger='current',
                level=logging.WARNING,
            )
        return kept

    def _as_coco(self, predictions: list[dict]) -> COCO:
        if not any(len(result['labels']) for result in predictions):
            # pycocotools cannot load a list without any detection
            empty = COCO()
            empty.dataset = {**self._coco_api.dataset, 'annotations': []}
            empty.createIndex()
            return empty
        if self.outfile_prefix is not None:
            self.results2json(predictions, self.outfile_prefix)
        # Without a box, or pycocotools would take its area for the mask's.
        return self._coco_api.loadRes(
            [
                {
                    'image_id': result['img_id'],
                    'category_id': self.cat_ids[label],
                    'score': score,
                    'segmentation': mask,
                }
                for result in predictions
                for label, score, mask in zip(
                    result['labels'].tolist(),
                    result['scores'].tolist(),
                    result['masks'],
                    strict=True,
                )
            ]
        )
