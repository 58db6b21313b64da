"""``freeseg-mm bench train``: a training step, of FreeSeg and Mask2Former."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from rich.table import Table
from torch import Tensor, nn

from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary
from freeseg_mm.utils.run_config import read_config
from freeseg_mm.utils.tables import render_table

from .meter import Hotspot
from .options import ALL_TASKS, TrainOptions
from .passes import TOTAL, Contender
from .report import measure_and_show, print_now
from .settings import (
    build_model,
    make_images,
    make_samples,
    make_vocabulary,
    prepare_device,
)


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

    The learning rate is zero, and the generators are seeded, so that every
    step does the same work.

    Args:
        model: An mmdet detector in training mode.
        batch: ``inputs`` and ``data_samples``, as a loader gives them.

    Attributes:
        loss: Sum of the losses of the last step.
    """

    def __init__(self, model: Any, batch: dict[str, Any]) -> None:
        self.loss = float('nan')
        self.model = model
        self.batch = batch
        self.optimizer = torch.optim.AdamW(
            [x for x in model.parameters() if x.requires_grad], lr=0.0
        )

    def __call__(self) -> None:
        """Do the step once."""
        torch.manual_seed(0)
        batch = copy.deepcopy(self.batch)
        data = self.model.data_preprocessor(batch, True)
        losses = self.model.loss(data['inputs'], data['data_samples'])
        total, _ = self.model.parse_losses(losses)
        self.backward(total)
        self.update()
        self.loss = total.item()

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


def train_hotspots(step: TrainingStep) -> list[Hotspot]:
    """List the parts of a step, of a FreeSeg or a Mask2Former.

    The decoder includes the classification of queries; targets are made in
    no part.
    """
    model, head = step.model, step.model.panoptic_head
    parts = {
        'data': model.data_preprocessor,
        'text': getattr(model, 'prompt_learner', None),
        'backbone': model.extract_feat,
        'pixel decoder': head.pixel_decoder,
        'interaction': getattr(head, 'context_interaction', None),
        'decoder': head,
        'matching': head.assigner.assign,
        'loss': head.loss_by_feat,
        'backward': step.backward,
        'optimizer': step.update,
    }
    return [
        Hotspot(part, target)
        for part, target in parts.items()
        if target is not None
    ]


class TrainBenchmark:
    """Measure one or two sides in one run.

    Args:
        options: Options of the measurement.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If an option is out of range, or all tasks are asked for
            of a config that does not say its steps.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.device = prepare_device(options)
        config = read_config(options.config, options.cfg_options)
        self.steps: int | None = config.train_cfg.get('max_iters')
        self.batch = self._make_batch(config)
        if options.task == ALL_TASKS:
            if self.steps is None:
                raise ValueError(
                    f'{options.config}: --task all needs train_cfg.max_iters, '
                    'the steps of a training'
                )
            self.model = self._build(config.model)
            self.sides = [
                _contender(task.value, self.model, with_task(self.batch, task))
                for task in Task
            ]
            return
        self.sides = [self._side('this', config.model, self.batch)]
        if options.against == 'mask2former':
            vocabulary = self.batch['data_samples'][0].vocabulary
            self.sides.append(
                self._side(
                    'mask2former',
                    mask2former_config(config.model, len(vocabulary)),
                    mask2former_batch(self.batch),
                )
            )
        elif options.other_config is not None:
            other = read_config(*options.other_config)
            self.sides.append(self._side('against', other.model, self.batch))

    def run(self, show: Callable[[str], None] = print_now) -> dict[str, Any]:
        """Measure counts, multiply-adds, seconds and bytes.

        Args:
            show: Takes each table as soon as it is known.

        Returns:
            See :func:`measure_and_show`, and by side ``loss``, the sum of
            the step's; of all tasks also ``networks``, see
            :func:`network_costs`.
        """
        kinds: Sequence[str] = self.options.measure
        if self.options.count_only:
            kinds = ('macs',)
        result = measure_and_show(
            self.sides, self.options, self.device, show, kinds
        )
        result['loss'] = {
            side.name: side.run.loss
            for side in self.sides
            if isinstance(side.run, TrainingStep)
        }
        for name, loss in result['loss'].items():
            show(f'loss of the step, {name}: {loss:.8g}')
        if self.options.task == ALL_TASKS:
            assert self.steps is not None  # checked above
            result['networks'] = network_costs(
                self.sides, self.model, self.steps
            )
            show('\n' + network_table(result['networks'], len(self.sides)))
        return result

    def _make_batch(self, config: Config) -> dict[str, Any]:
        options = self.options
        task = Task.PANOPTIC
        if options.task != ALL_TASKS:
            (task,) = Task.parse_many([options.task])
        if options.data:
            return loaded_batch(config, options.batch, task, options.seed)
        images = make_images(
            ['random'], options.image_size, options.batch, options.seed
        )
        return generated_batch(
            images,
            make_vocabulary(options.classes, seen_only=True),
            task,
            options.segments,
            options.seed,
        )

    def _side(
        self, name: str, config: ConfigDict, batch: dict[str, Any]
    ) -> Contender:
        return _contender(name, self._build(config), batch)

    def _build(self, config: ConfigDict) -> Any:
        options = self.options
        if not options.data:
            _pad_to(config, options.image_size)
        model = build_model(config, device=self.device, seed=options.seed)
        return model.train()


def _contender(name: str, model: Any, batch: dict[str, Any]) -> Contender:
    step = TrainingStep(model, batch)
    clip = getattr(model, 'clip', None)
    return Contender(name, step, train_hotspots(step), clip)


def _pad_to(config: ConfigDict, size: int) -> None:
    """Let batches be as large as the images."""
    for augment in config.data_preprocessor.get('batch_augments') or []:
        if augment['type'] == 'BatchFixedSizePad':
            augment['size'] = (size, size)


def network_costs(
    sides: Sequence[Contender], model: nn.Module, steps: int
) -> dict[str, dict[str, float]]:
    """Costs of training one network of all tasks, and a network for each.

    Each network takes all steps of the config, so that the unified one,
    which draws a task for each step, trains a task for a share of them.

    Args:
        sides: A measured step of each task.
        model: The network of all of them.
        steps: Steps that a network is trained for.

    Returns:
        By cost, ``one`` network of all tasks, ``each``: all the networks of
        one task together, and ``share``, the first by the second. Costs are
        ``networks``, ``steps``, ``steps_of_a_task``, ``macs`` and, if it was
        measured, ``seconds``, ``trained`` and ``frozen`` parameters, the
        latter with CLIP's.
    """
    count, first = len(sides), sides[0]
    # CLIP's are hidden from the model; a backbone may share some
    parameters = {*model.parameters()}
    if first.clip is not None:
        parameters.update(first.clip.clip.parameters())
    costs = {
        'networks': (1.0, count),
        'steps': (steps, count * steps),
        'steps_of_a_task': (steps / count, steps),
    }
    for kind in ('macs', 'seconds'):
        if kind in first.costs:
            total = steps * sum(side.costs[kind][TOTAL] for side in sides)
            costs[kind] = (total / count, total)
    for kind, is_trained in (('trained', True), ('frozen', False)):
        size = sum(
            x.numel() for x in parameters if x.requires_grad == is_trained
        )
        costs[kind] = (size, count * size)
    return {
        kind: {'one': one, 'each': each, 'share': one / each if each else 1.0}
        for kind, (one, each) in costs.items()
    }


_UNITS = {
    'networks': ('networks', 1.0),
    'steps': ('steps', 1.0),
    'steps_of_a_task': ('steps of a task', 1.0),
    'macs': ('multiply-adds (TMAC)', 1e12),
    'seconds': ('hours on this device', 3600.0),
    'trained': ('parameters trained (M)', 1e6),
    'frozen': ('parameters frozen (M)', 1e6),
}


def network_table(costs: dict[str, dict[str, float]], count: int) -> str:
    """Lay out :func:`network_costs` of so many tasks."""
    table = Table('Cost of a training', box=None, pad_edge=False)
    for name in (f'one of {count} tasks', f'{count} of one task', 'share'):
        table.add_column(name, justify='right')
    for kind, amounts in costs.items():
        title, unit = _UNITS[kind]
        shown = (amounts['one'] / unit, amounts['each'] / unit)
        table.add_row(
            title,
            *(f'{x:,.4g}' if x < 1000 else f'{x:,.0f}' for x in shown),
            f'{amounts["share"]:.3f}',
        )
    return render_table(table)
