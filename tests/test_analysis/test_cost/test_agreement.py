import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from freeseg_mm.analysis.cost.agreement import BatchPrediction, agreement
from freeseg_mm.structures import Task


def prediction(probs, masks=None, **results):
    """A prediction of one image and task with (N, C) probabilities."""
    masks = torch.ones(1, 1, len(probs), 2, 2) if masks is None else masks
    sample = DetDataSample()
    for field, value in results.items():
        setattr(sample, field, value)
    return BatchPrediction(
        [torch.tensor(probs)[None, None]], [masks], [sample]
    )


def compare(one, other, *tasks):
    return agreement([one], [other], tasks)


def test_differences_are_shares_of_the_largest_magnitude():
    one = prediction([[0.5, 0.2]], torch.full((1, 1, 1, 2, 2), 3.0))
    other = prediction([[0.4, 0.2]], torch.full((1, 1, 1, 2, 2), -4.0))
    found = compare(one, other)
    assert found['class_probs'] == pytest.approx(0.1 / 0.4)
    assert found['mask_logits'] == pytest.approx(7 / 4)


def test_masks_that_one_side_leaves_out():
    one = prediction([[0.5, 0.2], [0.0, 0.0]])
    other = prediction([[0.5, 0.2], [0.1, 0.3]])
    found = compare(one, other)
    assert found['class_probs'] == 0
    assert found['left_out'] == 0.5


def test_nothing_classified_at_all():
    assert (
        compare(prediction([[0.0]]), prediction([[0.0]]))['class_probs'] == 0
    )


def test_tasks_may_share_their_masks():
    probs = torch.rand(1, 3, 2, 4)
    masks = torch.rand(1, 1, 2, 2, 2)
    one = BatchPrediction([probs], [masks], [])
    other = BatchPrediction(list(probs.split(1, dim=1)), [masks] * 3, [])
    assert compare(one, other)['mask_logits'] == 0
    assert compare(one, other)['class_probs'] == 0


@pytest.mark.parametrize('probs', [[[0.5]], [[0.5, 0.2], [0.1, 0.1]]])
def test_other_numbers_of_classes_or_queries(probs):
    found = compare(prediction([[0.5, 0.2]]), prediction(probs))
    assert found['class_probs'] is None


def test_share_of_equal_pixels():
    one, other = (
        prediction(
            [[0.5]],
            pred_sem_seg=PixelData(sem_seg=torch.tensor([[row]])),
            pred_panoptic_seg=PixelData(sem_seg=torch.tensor([[row[::-1]]])),
        )
        for row in ([1, 2, 3, 4], [1, 2, 3, 0])
    )
    found = compare(one, other, Task.SEMANTIC, Task.PANOPTIC)
    assert found['pixels'] == {'semantic': 0.75, 'panoptic': 0.75}


def instances(labels, masks):
    return prediction(
        [[0.5]],
        pred_instances=InstanceData(
            labels=torch.tensor(labels), masks=torch.tensor(masks) > 0
        ),
    )


def test_instances_need_label_and_mask():
    one = instances([1, 2, 3], [[[1, 0]], [[1, 1]], [[1, 1]]])
    other = instances([1, 5, 3, 4], [[[1, 1]], [[1, 1]], [[1, 1]], [[1, 1]]])
    # half of the first, none of the second, all of the third, no fourth
    found = compare(one, other, Task.INSTANCE)
    assert found['pixels']['instance'] == pytest.approx(1.5 / 4)


def test_no_instances_on_either_side():
    nothing = prediction(
        [[0.5]],
        pred_instances=InstanceData(
            labels=torch.zeros(0, dtype=torch.long),
            masks=torch.zeros(0, 2, 2, dtype=torch.bool),
        ),
    )
    found = compare(nothing, nothing, Task.INSTANCE)
    assert found['pixels']['instance'] == 1


def test_several_batches():
    """The largest difference, the mean share."""
    one = [prediction([[0.5]]), prediction([[0.4]])]
    other = [prediction([[0.5]]), prediction([[0.2]])]
    assert agreement(one, other, ())['class_probs'] == 1.0
    assert agreement(one, other, ())['left_out'] == 0.0
    other[0] = prediction([[0.5, 0.1]])
    assert agreement(one, other, ())['class_probs'] is None
