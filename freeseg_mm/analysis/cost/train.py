"""``freeseg-mm bench train``: the cost of one training step, part by part."""

from collections.abc import Callable
from typing import Any

from mmengine.config import Config, ConfigDict

from freeseg_mm.structures import Task
from freeseg_mm.utils.run_config import read_config

from .meter import Hotspot
from .options import KINDS, TrainOptions
from .passes import Contender
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
        ValueError: If an option is out of range.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.device = prepare_device(options)
        config = read_config(options.config, options.cfg_options)
        self.batch = self._make_batch(config)
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
            See :func:`measure_and_show`.
        """
        kinds = ('macs',) if self.options.count_only else KINDS
        return measure_and_show(
            self.sides, self.options, self.device, show, kinds
        )

    def _make_batch(self, config: Config) -> dict[str, Any]:
        options = self.options
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
        options = self.options
        if not options.data:
            _pad_to(config, options.image_size)
        model = build_model(config, device=self.device, seed=options.seed)
        model.train()
        step = TrainingStep(model, batch)
        clip = getattr(model, 'clip', None)
        return Contender(name, step, train_hotspots(step), clip)


def _pad_to(config: ConfigDict, size: int) -> None:
    """Let batches be as large as the images."""
    for augment in config.data_preprocessor.get('batch_augments') or []:
        if augment['type'] == 'BatchFixedSizePad':
            augment['size'] = (size, size)
