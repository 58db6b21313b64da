import torch

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task


def test_whole_batch_trains_what_the_first_image_drew(make_sample):
    augment = MODELS.build({'type': 'freeseg_mm.TaskPerBatch'})
    images = torch.rand(3, 3, 64, 64)
    drawn = [Task.INSTANCE, Task.SEMANTIC, Task.PANOPTIC]
    samples = [make_sample(task=task) for task in drawn]

    out_images, out_samples = augment(images, samples)

    assert out_images is images
    assert [s.task for s in out_samples] == [Task.INSTANCE] * 3
    assert 'task' in out_samples[1].metainfo
    assert all(
        new is old for new, old in zip(out_samples, samples, strict=True)
    )
