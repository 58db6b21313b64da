"""``freeseg-mm bench train``: the cost of one training step, part by part."""

from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from rich.table import Table
from torch import nn

from freeseg_mm.structures import Task
from freeseg_mm.utils.run_config import read_config
from freeseg_mm.utils.text_table import render_table

from .meter import Hotspot
from .options import ALL_TASKS, KINDS, TrainOptions
from .passes import TOTAL, Contender
from .report import measure_and_show, print_now
from .settings import (
    build_model,
    make_images,
    make_vocabulary,
    prepare_device,
)
from .training import (
    TrainingStep,
    generated_batch,
    loaded_batch,
    mask2former_batch,
    mask2former_config,
    with_task,
)


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
            See :func:`measure_and_show`; of all tasks also ``networks``, see
            :func:`network_costs`.
        """
        kinds = ('macs',) if self.options.count_only else KINDS
        result = measure_and_show(
            self.sides, self.options, self.device, show, kinds
        )
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
