"""The three metrics together, as a test loop runs them."""

import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from pycocotools.coco import COCO

from freeseg_mm.evaluation.ground_truth import (
    IGNORED,
    read_panoptic_gt,
    read_semantic_gt,
)
from freeseg_mm.structures import Vocabulary


@pytest.fixture(scope='module')
def coco(samples_dir):
    folder = samples_dir / 'coco_stuff200' / 'annotations'
    if not folder.is_dir():
        pytest.skip(f'no sample data in {folder}')
    return folder


@pytest.fixture(scope='module')
def vocabulary():
    return Vocabulary.load('coco_panoptic133')


@pytest.fixture
def evaluator(coco, vocabulary):
    with DefaultScope.overwrite_default_scope('mmdet'):
        evaluator = Evaluator(
            [
                {'type': 'freeseg_mm.OpenVocabSemMetric'},
                {
                    'type': 'freeseg_mm.OpenVocabInsMetric',
                    'ann_file': str(coco / 'instances_val2017.json'),
                },
                {'type': 'freeseg_mm.OpenVocabPanMetric'},
            ]
        )
    evaluator.dataset_meta = {
        'classes': vocabulary.names,
        'vocabulary': vocabulary.to_dict(),
    }
    return evaluator


def samples_of(folder, vocabulary):
    """Test samples as the dataset would make them."""
    content = json.loads((folder / 'panoptic_val2017.json').read_text())
    label_of = {
        category['id']: vocabulary.index(category['name'])
        for category in content['categories']
    }
    size_of = {
        image['id']: (image['height'], image['width'])
        for image in content['images']
    }
    for annotation in content['annotations']:
        path = folder / 'panoptic_val2017' / annotation['file_name']
        yield {
            'img_id': annotation['image_id'],
            'ori_shape': size_of[annotation['image_id']],
            'seg_map_path': str(path),
            'segments': [
                {
                    'id': segment['id'],
                    'label': label_of[segment['category_id']],
                    'iscrowd': segment['iscrowd'],
                }
                for segment in annotation['segments_info']
            ],
        }


def gt_as_prediction(sample, instances, vocabulary):
    """A perfect model."""
    classes = read_semantic_gt(sample, len(vocabulary)).copy()
    classes[classes == IGNORED] = 5
    objects = instances.loadAnns(
        instances.getAnnIds(imgIds=[sample['img_id']], iscrowd=False)
    )
    masks = np.array(
        [instances.annToMask(item) for item in objects], bool
    ).reshape(-1, *sample['ori_shape'])
    labels = [
        vocabulary.index(instances.cats[item['category_id']]['name'])
        for item in objects
    ]
    pan_seg = PixelData(
        sem_seg=torch.from_numpy(read_panoptic_gt(sample).copy())[None]
    )
    pan_seg.set_metainfo(
        {
            'segments_info': [
                {'id': s['id'], 'label': s['label'], 'score': 1.0}
                for s in sample['segments']
                if not s['iscrowd']
            ]
        }
    )
    result = DetDataSample(metainfo=sample)
    result.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(classes)[None])
    result.pred_panoptic_seg = pan_seg
    result.pred_instances = InstanceData(
        bboxes=torch.zeros(len(objects), 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.rand(len(objects)),
        masks=torch.from_numpy(masks),
    )
    return result


def test_gt_as_prediction_is_perfect(coco, vocabulary, evaluator):
    instances = COCO(coco / 'instances_val2017.json')
    samples = list(samples_of(coco, vocabulary))
    assert any(s['iscrowd'] for sample in samples for s in sample['segments'])
    for sample in samples:
        evaluator.process([gt_as_prediction(sample, instances, vocabulary)])
    results = evaluator.evaluate(size=len(samples))
    assert set(results) == {
        *(f'semantic/{key}' for key in ('mIoU_seen', 'mIoU_unseen', 'mIoU')),
        'semantic/hIoU',
        *(f'instance/{key}' for key in ('mAP_seen', 'mAP_unseen', 'mAP')),
        *(f'instance/{key}' for key in ('AP50', 'AP75')),
        *(
            f'panoptic/{quality}{part}'
            for quality in ('PQ', 'SQ', 'RQ')
            for part in ('_seen', '_unseen', '')
        ),
    }
    assert results == dict.fromkeys(results, pytest.approx(100, abs=1e-9))


def test_one_wrong_class_is_noticed_by_all(coco, vocabulary, evaluator):
    instances = COCO(coco / 'instances_val2017.json')
    person, bicycle = vocabulary.index('person'), vocabulary.index('bicycle')
    samples = list(samples_of(coco, vocabulary))[:20]
    for sample in samples:
        result = gt_as_prediction(sample, instances, vocabulary)
        classes = result.pred_sem_seg.sem_seg
        classes[classes == person] = bicycle
        labels = result.pred_instances.labels
        labels[labels == person] = bicycle
        for segment in result.pred_panoptic_seg.segments_info:
            if segment['label'] == person:
                segment['label'] = bicycle
        evaluator.process([result])
    evaluator.evaluate(size=len(samples))
    for metric, key in zip(
        evaluator.metrics, ('IoU', 'AP', 'PQ'), strict=True
    ):
        values = {
            name: result[key]
            for name, result in metric.per_class_results.items()
        }
        assert values['person'] == pytest.approx(0)
        assert values['bicycle'] != 100
        del values['person'], values['bicycle']
        others = [value for value in values.values() if not np.isnan(value)]
        assert others == [pytest.approx(100, abs=1e-9)] * len(others)
