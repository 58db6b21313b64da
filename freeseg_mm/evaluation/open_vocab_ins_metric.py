import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.evaluation import CocoMetric
from mmengine.logging import print_log

from freeseg_mm.registry import METRICS
from freeseg_mm.utils.coco_masks import annotation_code
from freeseg_mm.utils.files import naming_errors, read_json
from freeseg_mm.utils.names import normal_name
from freeseg_mm.utils.run_lengths import encode_masks

from .per_class_metric import PerClassMetric, prediction_of
from .splits import class_mean, split_means

_LISTS = ('images', 'annotations', 'categories')
_NEEDED = {
    'images': ('id', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'area', 'segmentation'),
    'categories': ('id', 'name'),
}
_ALL_AREAS = [0, 1e10]
_IOU_50, _IOU_75 = 0, 5  # places in COCO's thresholds 0.5, 0.55 ... 0.95
# by name, where its COCO and its COCOeval are
ENGINES = {
    'hotcoco': ('hotcoco', 'hotcoco'),
    'pycocotools': ('pycocotools.coco', 'pycocotools.cocoeval'),
}


@METRICS.register_module()
class OpenVocabInsMetric(PerClassMetric, CocoMetric):
    """Mask AP over seen and unseen classes.

    Prediction handling is mmdet's, matching is pycocotools' or, the same to
    the last bit and many times as fast, hotcoco's. The differences to mmdet:
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
        engine: Library that matches and counts, ``'hotcoco'`` or
            ``'pycocotools'``; ``None`` for hotcoco where it is installed.

    Raises:
        FileNotFoundError: If there is no ``ann_file``.
        ImportError: If the engine asked for is not installed.
        ValueError: If ``ann_file`` is no COCO instances file, or has
            annotation ids that are 0 or occur twice, or damaged masks; or
            if there is no such engine.
    """

    default_prefix = 'instance'
    max_detections = 100  # per image and class, as COCO reports AP

    def __init__(
        self,
        *,
        ann_file: str,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        engine: str | None = None,
    ) -> None:
        self.engine = _choose_engine(engine)
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
            known = {category['id'] for category in content['categories']}
            for ann in content['annotations']:
                if ann['category_id'] not in known:
                    raise ValueError(
                        f'annotation {ann["id"]} has category_id '
                        f'{ann["category_id"]}, which is not among the '
                        'categories'
                    )
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
            pred = sample['pred_instances']
            masks = torch.as_tensor(pred['masks']).cpu().numpy()
            # mmengine goes through a list's entries one by one
            codes = np.array(encode_masks(masks), object)
            pred = {**pred, 'masks': codes}
            super().process(data_batch, [{**sample, 'pred_instances': pred}])

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
        image_ids = sorted({result['img_id'] for result in predictions})
        left_out = len(self._coco_api.imgs) - len(image_ids)
        if left_out:
            print_log(
                f'{left_out} of {len(self._coco_api.imgs)} images of '
                f'{self.ann_file} were not tested and do not count',
                logger='current',
                level=logging.WARNING,
            )

        kept = self._without_unknown_classes(predictions)
        if self.outfile_prefix is not None and kept:
            self.results2json(kept, self.outfile_prefix)
        category_ids = sorted(self._coco_api.cats)
        precision = precision_by_recall(
            self._numbered_gt(image_ids, category_ids),
            self._numbered_detections(kept, image_ids, category_ids),
            self.engine,
            self.max_detections,
        )
        # of a category without an object it is -1
        precision = np.where(precision < 0, np.nan, 100 * precision)
        values = {
            'AP': precision.mean(axis=(0, 1)),
            'AP50': precision[_IOU_50].mean(axis=0),
            'AP75': precision[_IOU_75].mean(axis=0),
        }
        classes = [
            self.cat_ids.index(category_id) for category_id in category_ids
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
                    **{
                        field: result[field][keep]
                        for field in ('bboxes', 'scores', 'labels', 'masks')
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

    def _numbered_gt(
        self, image_ids: Sequence[Any], category_ids: Sequence[Any]
    ) -> dict[str, list[dict[str, Any]]]:
        """Ground truth of some images, all ids counted from 1.

        Thus an engine need not take what a file may have for an id.
        """
        number = {key: place for place, key in enumerate(category_ids, 1)}
        annotations = [
            {
                'image_id': image,
                'category_id': number[ann['category_id']],
                'iscrowd': int(ann['iscrowd']),
                **{key: ann[key] for key in ('area', 'segmentation')},
            }
            for image, key in enumerate(image_ids, 1)
            for ann in self._coco_api.imgToAnns[key]
        ]
        sizes = [self._coco_api.imgs[key] for key in image_ids]
        return {
            'images': [
                {'id': place, 'height': x['height'], 'width': x['width']}
                for place, x in enumerate(sizes, 1)
            ],
            'annotations': [
                {'id': place, **ann}
                for place, ann in enumerate(annotations, 1)
            ],
            'categories': [
                {'id': place, 'name': str(key)}
                for key, place in number.items()
            ],
        }

    def _numbered_detections(
        self,
        predictions: Sequence[Mapping[str, Any]],
        image_ids: Sequence[Any],
        category_ids: Sequence[Any],
    ) -> list[dict[str, Any]]:
        """Detections with the ids of :meth:`_numbered_gt`.

        Without boxes, or pycocotools would take their area for the mask's.
        """
        images = {key: place for place, key in enumerate(image_ids, 1)}
        number = {key: place for place, key in enumerate(category_ids, 1)}
        return [
            {
                'image_id': images[result['img_id']],
                'category_id': number[self.cat_ids[label]],
                'score': score,
                'segmentation': code,
            }
            for result in predictions
            for label, score, code in zip(
                result['labels'].tolist(),
                result['scores'].tolist(),
                result['masks'],
                strict=True,
            )
        ]


def precision_by_recall(
    gt: dict[str, list[dict[str, Any]]],
    detections: list[dict[str, Any]],
    engine: str,
    max_detections: int = 100,
) -> np.ndarray:
    """Precision of masks at COCO's thresholds, over objects of any size.

    The engines share an interface, and give the same to the last bit.

    Args:
        gt: ``images``, ``annotations`` and ``categories`` of COCO, with ids
            counted from 1.
        detections: Of COCO's results, without ids.
        engine: One of :data:`ENGINES`.
        max_detections: Most that count, of an image and category.

    Returns:
        (10 IoU thresholds, 101 recalls, categories by id), float64; -1 for
        a category without an object.
    """
    of_objects, of_evaluation = map(import_module, ENGINES[engine])

    def indexed(content: dict[str, Any]) -> Any:
        api = of_objects.COCO()
        api.dataset = content
        api.createIndex()
        return api

    objects = indexed(gt)
    # pycocotools cannot load a list without any detection
    found = (
        objects.loadRes(detections)
        if detections
        else indexed({**gt, 'annotations': []})
    )
    evaluation = of_evaluation.COCOeval(objects, found, 'segm')
    evaluation.params.maxDets = [max_detections]
    evaluation.params.areaRng = [_ALL_AREAS]
    evaluation.params.areaRngLbl = ['all']
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval['precision'][:, :, :, 0, 0]


def _choose_engine(engine: str | None) -> str:
    if engine is None:
        return next(name for name in ENGINES if find_spec(name))
    if engine not in ENGINES:
        raise ValueError(
            f'engine {engine!r} is none of {list(ENGINES)}; None takes the '
            'first that is installed'
        )
    if not find_spec(engine):
        raise ImportError(
            f"engine {engine!r} is not installed: pip install 'freeseg_mm["
            "fast]', or leave engine out"
        )
    return engine
