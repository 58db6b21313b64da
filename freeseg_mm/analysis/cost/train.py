"""``freeseg-mm bench train``: what one training step costs, part by part."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config, ConfigDict

from freeseg_mm.structures import Task

from .parts import TRAIN_PARTS, train_places
from .passes import KINDS, Contender, measure_sides
from .report import ratio_lines, ratios, table
from .settings import (
    BenchOptions,
    build_model,
    check_against,
    check_least,
    make_images,
    make_vocabulary,
    other_config,
    prepare_device,
    print_now,
    read_config,
    settings,
)
from .training import (
    TrainingStep,
    generated_batch,
    loaded_batch,
    mask2former_batch,
    mask2former_config,
)

PRESETS = ('mask2former',)


@dataclass(frozen=True)
class TrainOptions(BenchOptions):
    """What to measure; of a vocabulary the seen classes are taken.

    Attributes:
        against: A preset of :data:`PRESETS`, another config file of a
            FreeSeg, or ``None``. ``mask2former`` is mmdet's own with the
            same backbone, pixel decoder, decoder, queries and batch.
        task: The task the step trains.
        segments: Segments of each generated image.
        data: Whether to take the config's own training data instead of
            generated ones; then its images' size and vocabulary count.
        count_only: Whether to count multiply-adds and nothing else.
    """

    image_size: int = 128
    batch: int = 2
    classes: str = '156'
    task: str = 'panoptic'
    segments: int = 10
    data: bool = False
    count_only: bool = False


class TrainBenchmark:
    """Measure one or two sides in one run.

    Args:
        options: What to measure.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a number is too small or a preset unknown.
    """

    def __init__(self, options: TrainOptions) -> None:
        check_least(options, runs=1, warmup=0, segments=1, threads=1)
        check_against(options.against, options.against_options, PRESETS)
        self.options = options
        self.device = prepare_device(options.device, options.threads)
        config = read_config(options.config, options.cfg_options)
        self.batch = self._make_batch(config)
        self.sides = self._build_sides(config)

    def run(self, show: Callable[[str], None] = print_now) -> dict[str, Any]:
        """Measure counts, multiply-adds, seconds and bytes.

        Args:
            show: Takes each table as soon as it is known.

        Returns:
            ``settings``; ``sides``, the costs of each by name (see
            :func:`measure_sides`); with two of them ``ratio``.
        """
        options, sides = self.options, self.sides
        measure_sides(
            sides,
            device=self.device,
            runs=options.runs,
            warmup=options.warmup,
            show=lambda kind: show(table(kind, sides, TRAIN_PARTS) + '\n'),
            kinds=('macs',) if options.count_only else KINDS,
        )
        result: dict[str, Any] = {
            'settings': settings(options, self.device),
            'sides': {side.name: side.costs for side in sides},
        }
        if len(sides) == 2:
            this, against = sides
            result['ratio'] = ratios(this, against)
            show(ratio_lines(this, against, result['ratio']))
        return result

    def _make_batch(self, config: Config) -> dict[str, Any]:
        options = self.options
        (task,) = Task.parse_many([options.task])
        if options.data:
            check_least(options, batch=1)
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

    def _build_sides(self, config: Config) -> list[Contender]:
        options = self.options
        sides = [self._side('this', config.model, self.batch)]
        if options.against == 'mask2former':
            vocabulary = self.batch['data_samples'][0].vocabulary
            sides.append(
                self._side(
                    'mask2former',
                    mask2former_config(config.model, len(vocabulary)),
                    mask2former_batch(self.batch),
                )
            )
        elif options.against or options.against_options:
            other = read_config(*other_config(options))
            sides.append(self._side('against', other.model, self.batch))
        return sides

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
        return Contender(name, step, train_places(step), clip=clip)


def _pad_to(config: ConfigDict, size: int) -> None:
    """Let batches be as large as the images."""
    for augment in config.data_preprocessor.get('batch_augments') or []:
        if augment['type'] == 'BatchFixedSizePad':
            augment['size'] = (size, size)
