from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freeseg_mm.registry import METRICS
from freeseg_mm.utils.files import naming_errors
from freeseg_mm.utils.names import shown

from .open_vocab_ins_metric import OpenVocabInsMetric
from .splits import class_mean

FREQUENCIES = ('r', 'c', 'f')  # rare, common, frequent
_LISTS = ('neg_category_ids', 'not_exhaustive_category_ids')


@METRICS.register_module()
class OpenVocabLvisMetric(OpenVocabInsMetric):
    """Mask AP by LVIS's federated rule: of an image, not all is annotated.

    It was searched for the classes that it has objects of, and for those of
    its ``neg_category_ids``, of which it has none; detections of others do
    not count. Of the classes in its ``not_exhaustive_category_ids`` some
    objects lack annotation, so detections of them that match none are
    neither right nor wrong. The 300 best of an image count, of all classes
    together.

    All this is said to COCO's evaluation in its own words: detections are
    left out, and a crowd that fills the image stands for the objects that
    may be missing.

    Results, percent: those of the base, and ``APr``, ``APc`` and ``APf`` of
    the rare, common and frequent classes.

    It is made as the base is, and its ``ann_file`` has the two lists in each
    image and a ``frequency`` (``'r'``, ``'c'`` or ``'f'``) in each category,
    as ``freeseg-mm prepare lvis`` writes them.

    Raises:
        ValueError: As the base; or if ``ann_file`` lacks these entries, or
            a list names no category of the file.
    """

    max_detections = 300

    def _check_ann_file(self) -> None:
        super()._check_ann_file()
        content = self._coco_api.dataset
        with naming_errors(Path(self.ann_file)):
            for image in content['images']:
                for key in _LISTS:
                    unknown = set(image[key]) - set(self._coco_api.cats)
                    if unknown:
                        raise ValueError(
                            f'image {image["id"]}: {key} has '
                            f'{sorted(unknown)[:5]}, which are no ids of '
                            'categories'
                        )
            for category in content['categories']:
                if category['frequency'] not in FREQUENCIES:
                    raise ValueError(
                        f'category {category["name"]!r} has frequency '
                        f'{shown(category["frequency"])}, expected one of '
                        f'{FREQUENCIES}'
                    )

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Add the means by frequency to those of the base."""
        metrics = super().compute_metrics(results)
        names = self.vocabulary.names
        for frequency in FREQUENCIES:
            values = [
                self.per_class_results[names[label]]['AP']
                for label, key in enumerate(self.cat_ids)
                if key is not None
                and self._coco_api.cats[key]['frequency'] == frequency
            ]
            metrics[f'AP{frequency}'] = class_mean(np.array(values))
        return metrics

    def _numbered_gt(
        self, image_ids: Sequence[Any], category_ids: Sequence[Any]
    ) -> dict[str, list[dict[str, Any]]]:
        gt = super()._numbered_gt(image_ids, category_ids)
        number = {key: place for place, key in enumerate(category_ids, 1)}
        for place, key in enumerate(image_ids, 1):
            image = self._coco_api.imgs[key]
            size = image['height'], image['width']
            area = size[0] * size[1]
            whole = {'size': list(size), 'counts': [0, area]}
            gt['annotations'] += [
                {
                    'id': len(gt['annotations']) + index,
                    'image_id': place,
                    'category_id': number[category],
                    'iscrowd': 1,
                    'area': area,
                    'segmentation': coco_mask.frPyObjects(whole, *size),
                }
                for index, category in enumerate(
                    image['not_exhaustive_category_ids'], 1
                )
            ]
        return gt

    def _numbered_detections(
        self,
        predictions: Sequence[Mapping[str, Any]],
        image_ids: Sequence[Any],
        category_ids: Sequence[Any],
    ) -> list[dict[str, Any]]:
        return super()._numbered_detections(
            [self._counted(result) for result in predictions],
            image_ids,
            category_ids,
        )

    def _counted(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The best detections, of those classes the image was searched for.

        A mask without a pixel matches nothing, a crowd neither.
        """
        image = self._coco_api.imgs[result['img_id']]
        searched = {
            *image['neg_category_ids'],
            *(
                ann['category_id']
                for ann in self._coco_api.imgToAnns[image['id']]
            ),
        }
        in_part = set(image['not_exhaustive_category_ids'])
        best = np.argsort(-result['scores'], kind='stable')
        keep = []
        for index in best[: self.max_detections].tolist():
            category = self.cat_ids[result['labels'][index]]
            code = result['masks'][index]
            if category in searched and (
                category not in in_part or coco_mask.area(code)
            ):
                keep.append(index)
        fields = ('scores', 'labels', 'masks')
        return {
            'img_id': result['img_id'],
            **{field: result[field][keep] for field in fields},
        }
