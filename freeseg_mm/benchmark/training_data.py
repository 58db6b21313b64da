"""A batch with truth, for FreeSeg and for mmdet's Mask2Former."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary

from .inputs import make_samples


def generated_batch(
    images: Sequence[Tensor],
    vocabulary: Vocabulary,
    task: Task,
    num_segments: int,
    seed: int,
) -> dict[str, Any]:
    """Give images a truth: random points, each with the pixels nearest to it.

    Args:
        images: Each (3, H, W), uint8.
        vocabulary: Classes of the segments.
        task: Task of the batch.
        num_segments: Segments of each image.
        seed: Of places and classes.

    Returns:
        ``inputs`` and ``data_samples`` as a loader gives them.
    """
    generator = torch.Generator().manual_seed(seed)
    samples = make_samples(images, vocabulary)
    for sample, image in zip(samples, images, strict=True):
        segment_map = _nearest_point(image.shape[-2:], num_segments, generator)
        labels = torch.randint(
            len(vocabulary), (num_segments,), generator=generator
        )
        sample.gt_sem_seg = PixelData(
            sem_seg=segment_map[None] + FIRST_SEGMENT_ID
        )
        sample.set_metainfo(
            {
                'task': task,
                'segments': [
                    {
                        'id': FIRST_SEGMENT_ID + index,
                        'label': label,
                        'iscrowd': 0,
                    }
                    for index, label in enumerate(labels.tolist())
                ],
            }
        )
    return {'inputs': list(images), 'data_samples': samples}


def loaded_batch(
    config: Config, batch: int, task: Task, seed: int
) -> dict[str, Any]:
    """The first batch of a config's own training data.

    Args:
        config: A whole config.
        batch: Images in the batch.
        task: Task that replaces the drawn one.
        seed: Of the order of images.
    """
    init_default_scope('mmdet')
    settings = config.train_dataloader.copy()
    settings.update(batch_size=batch, num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(settings, seed=seed)
    loaded = next(iter(loader))
    for sample in loaded['data_samples']:
        sample.set_metainfo({'task': task})
    return loaded


def mask2former_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """The same images and masks in the form mmdet's Mask2Former takes.

    Every segment but crowds is an instance, things and stuff alike, which is
    how the head sees them in the end.
    """
    samples = []
    for source in batch['data_samples']:
        segment_map = source.gt_sem_seg.sem_seg[0]
        segments = [
            segment for segment in source.segments if not segment['iscrowd']
        ]
        masks = [segment_map == segment['id'] for segment in segments]
        kept = [index for index, mask in enumerate(masks) if mask.any()]
        sample = DetDataSample(metainfo=source.metainfo)
        sample.gt_instances = InstanceData(
            labels=torch.tensor(
                [segments[index]['label'] for index in kept],
                dtype=torch.long,
            ),
            masks=BitmapMasks(
                [masks[index].byte().numpy() for index in kept],
                *segment_map.shape,
            ),
        )
        samples.append(sample)
    return {'inputs': batch['inputs'], 'data_samples': samples}


def _nearest_point(
    size: Sequence[int], num_points: int, generator: torch.Generator
) -> Tensor:
    """Index of the nearest of random points, (H, W), int32."""
    grid = torch.cartesian_prod(
        *(torch.arange(length) / length for length in size)
    )
    points = torch.rand(num_points, 2, generator=generator)
    return torch.cdist(grid, points).argmin(1).view(*size).int()
