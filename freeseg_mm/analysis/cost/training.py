"""A training step and its batch, of FreeSeg and of mmdet's Mask2Former."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary

from .settings import make_samples


def generated_batch(
    images: Sequence[Tensor],
    vocabulary: Vocabulary,
    task: Task,
    num_segments: int,
    seed: int,
) -> dict[str, Any]:
    """Generate segments: random points, each with the pixels nearest to it.

    Args:
        images: Each (3, H, W), uint8.
        vocabulary: Classes of the segments.
        task: Task of the batch.
        num_segments: Segments of each image.
        seed: Seed of places and classes.

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


def with_task(batch: dict[str, Any], task: Task) -> dict[str, Any]:
    """Copy a batch, for another task."""
    samples = [sample.clone() for sample in batch['data_samples']]
    for sample in samples:
        sample.set_metainfo({'task': task})
    return {**batch, 'data_samples': samples}


def loaded_batch(
    config: Config, batch: int, task: Task, seed: int
) -> dict[str, Any]:
    """Load the first batch of a config's own training data.

    Args:
        config: A whole config.
        batch: Images in the batch.
        task: Task that replaces the drawn one.
        seed: Seed of the order of images.
    """
    settings = config.train_dataloader.copy()
    settings.update(batch_size=batch, num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(settings, seed=seed)
    return with_task(next(iter(loader)), task)


def mask2former_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """Convert a batch to the form mmdet's Mask2Former takes.

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


class TrainingStep:
    """Losses of a batch, their gradients, and an update of the weights.

    The learning rate is zero, so that every step does the same work.

    Args:
        model: An mmdet detector in training mode.
        batch: ``inputs`` and ``data_samples``, as a loader gives them.
    """

    def __init__(self, model: Any, batch: dict[str, Any]) -> None:
        self.model = model
        self.batch = batch
        self.optimizer = torch.optim.AdamW(
            [x for x in model.parameters() if x.requires_grad], lr=0.0
        )

    def __call__(self) -> None:
        """Do the step once."""
        batch = copy.deepcopy(self.batch)
        data = self.model.data_preprocessor(batch, True)
        losses = self.model.loss(data['inputs'], data['data_samples'])
        total, _ = self.model.parse_losses(losses)
        self.backward(total)
        self.update()

    def backward(self, total: Tensor) -> None:
        """Compute all gradients."""
        total.backward()

    def update(self) -> None:
        """Let the optimizer change all weights."""
        self.optimizer.step()
        self.optimizer.zero_grad()


SHARED = (
    'in_channels',
    'feat_channels',
    'out_channels',
    'num_queries',
    'num_transformer_feat_level',
    'pixel_decoder',
    'transformer_decoder',
    'positional_encoding',
)
POINTS = ('num_points', 'oversample_ratio', 'importance_sample_ratio')
STOCK = 'mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'


def mask2former_config(model: ConfigDict, num_classes: int) -> ConfigDict:
    """Give mmdet's Mask2Former a FreeSeg's backbone, pixel decoder, decoder.

    Losses and matching stay those of mmdet's config; queries are classified
    by its linear layer.

    Args:
        model: Config of a FreeSeg.
        num_classes: Classes of the linear classifier.
    """
    configs = Path(mmdet.__file__).parent / '.mim/configs'
    stock = Config.fromfile(configs / STOCK).model
    preprocessor = model.data_preprocessor.copy()
    preprocessor.pop('pad_seg', None)
    preprocessor.pop('seg_pad_value', None)
    preprocessor.update(pad_mask=True, mask_pad_value=0, batch_augments=[])
    stock.update(
        data_preprocessor=preprocessor,
        backbone=model.backbone,
        neck=model.get('neck'),
    )
    head, classes = (
        stock.panoptic_head,
        {
            'num_things_classes': num_classes,
            'num_stuff_classes': 0,
        },
    )
    head.update(
        {x: model.panoptic_head[x] for x in SHARED if x in model.panoptic_head}
    )
    head.update(classes)
    head.loss_cls.class_weight = [1.0] * num_classes + [0.1]
    stock.panoptic_fusion_head.update(classes)
    stock.train_cfg.update({name: model.train_cfg[name] for name in POINTS})
    return stock
