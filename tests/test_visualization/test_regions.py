import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from freeseg_mm.structures import Task
from freeseg_mm.utils.panoptic_png import encode_panoptic_png
from freeseg_mm.visualization import gt_regions, prediction_regions

CAT, DOG, GRASS, SKY = range(4)
# a cat, another cat, grass, a crowd of dogs, void
IDS = np.array([[1, 1, 2, 3], [9, 0, 3, 3]])


@pytest.fixture
def sample(tmp_path):
    encode_panoptic_png(IDS, tmp_path / 'ids.png')
    return {
        'img_id': 'a',
        'ori_shape': (2, 4),
        'seg_map_path': str(tmp_path / 'ids.png'),
        'segments': [
            {'id': 1, 'label': CAT, 'iscrowd': 0},
            {'id': 2, 'label': CAT, 'iscrowd': 0},
            {'id': 3, 'label': GRASS, 'iscrowd': 0},
            {'id': 9, 'label': DOG, 'iscrowd': 1},
        ],
    }


def as_lists(task_regions):
    return [
        (region.label, region.mask.astype(int).tolist())
        for region in task_regions.regions
    ]


VOID_AND_CROWD = [[0, 0, 0, 0], [1, 1, 0, 0]]


def test_ground_truth_of_the_three_tasks(sample, vocabulary):
    gt = gt_regions(sample, vocabulary)
    cats = [[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 0, 1, 0], [0, 0, 0, 0]]
    both_cats = [[1, 1, 1, 0], [0, 0, 0, 0]]
    grass = [[0, 0, 0, 1], [0, 0, 1, 1]]
    assert as_lists(gt[Task.SEMANTIC]) == [(CAT, both_cats), (GRASS, grass)]
    assert as_lists(gt[Task.INSTANCE]) == [(CAT, cats[0]), (CAT, cats[1])]
    assert as_lists(gt[Task.PANOPTIC]) == [
        (CAT, cats[0]),
        (CAT, cats[1]),
        (GRASS, grass),
    ]
    for task in Task:
        assert gt[task].ignored.astype(int).tolist() == VOID_AND_CROWD
        assert all(region.score is None for region in gt[task].regions)


def test_semantic_ground_truth_comes_from_the_semantic_file(
    sample, vocabulary, tmp_path
):
    classes = np.array([[SKY] * 4, [255] * 4], np.uint8)
    Image.fromarray(classes).save(tmp_path / 'classes.png')
    sample['sem_seg_path'] = str(tmp_path / 'classes.png')
    gt = gt_regions(sample, vocabulary)
    sky, ignored = [[1] * 4, [0] * 4], [[0] * 4, [1] * 4]
    assert as_lists(gt[Task.SEMANTIC]) == [(SKY, sky)]
    assert gt[Task.SEMANTIC].ignored.astype(int).tolist() == ignored


def test_segment_without_a_pixel_is_left_out(sample, vocabulary):
    sample['segments'].append({'id': 77, 'label': DOG, 'iscrowd': 0})
    gt = gt_regions(sample, vocabulary)
    assert len(gt[Task.PANOPTIC].regions) == 3


@pytest.fixture
def predicted():
    """The fields the model fills, as mmengine hands them to metrics."""
    sample = DetDataSample()
    sample.pred_sem_seg = PixelData(sem_seg=torch.tensor([[[3, 3], [2, 3]]]))
    sample.pred_instances = InstanceData(
        bboxes=torch.zeros(3, 4),
        labels=torch.tensor([CAT, DOG, CAT]),
        scores=torch.tensor([0.5, 0.9, 0.1]),
        masks=torch.tensor(
            [[[1, 0], [0, 0]], [[1, 1], [0, 0]], [[0, 0], [1, 1]]]
        ).bool(),
    )
    sample.pred_panoptic_seg = PixelData(
        sem_seg=torch.tensor([[[1000, 1000], [2002, 4]]]),
        metainfo={
            'segments_info': [
                {'id': 1000, 'label': CAT, 'score': 0.75},
                {'id': 2002, 'label': GRASS, 'score': 0.5},
            ]
        },
    )
    return sample.to_dict()


def test_semantic_prediction(predicted):
    found = prediction_regions(predicted, 4)[Task.SEMANTIC]
    assert as_lists(found) == [
        (GRASS, [[0, 0], [1, 0]]),
        (SKY, [[1, 1], [0, 1]]),
    ]
    assert not found.ignored.any()


def test_pixels_without_a_class_are_ignored(predicted):
    predicted['pred_sem_seg']['sem_seg'][0, 0, 1] = 255
    found = prediction_regions(predicted, 4)[Task.SEMANTIC]
    assert [region.label for region in found.regions] == [GRASS, SKY]
    assert found.ignored.tolist() == [[False, True], [False, False]]
    # one of 300 classes
    found = prediction_regions(predicted, 300)[Task.SEMANTIC]
    assert [region.label for region in found.regions] == [GRASS, SKY, 255]


def test_instances_above_the_threshold_come_best_first(predicted):
    found = prediction_regions(predicted, 4, score_thr=0.5)[Task.INSTANCE]
    assert as_lists(found) == [
        (DOG, [[1, 1], [0, 0]]),
        (CAT, [[1, 0], [0, 0]]),
    ]
    assert [region.score for region in found.regions] == pytest.approx(
        [0.9, 0.5]
    )
    assert found.ignored is None


def test_pixels_without_a_panoptic_segment_are_ignored(predicted):
    found = prediction_regions(predicted, 4)[Task.PANOPTIC]
    assert as_lists(found) == [
        (CAT, [[1, 1], [0, 0]]),
        (GRASS, [[0, 0], [1, 0]]),
    ]
    assert [region.score for region in found.regions] == [0.75, 0.5]
    assert found.ignored.astype(int).tolist() == [[0, 0], [0, 1]]


def test_tasks_that_were_not_predicted_are_absent(predicted):
    del predicted['pred_instances']
    predicted['pred_sem_seg'] = None
    assert list(prediction_regions(predicted, 4)) == [Task.PANOPTIC]


def test_no_instance_is_no_region(predicted):
    predicted['pred_instances'] = {
        'labels': np.zeros(0, int),
        'scores': np.zeros(0),
        'masks': np.zeros((0, 2, 2), bool),
    }
    assert prediction_regions(predicted, 4)[Task.INSTANCE].regions == []
