"""Options of the measurements; light to import, for the command line."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

ALL_TASKS = 'all'
"""Value of ``--task`` for a step of each."""
KINDS = ('counts', 'macs', 'seconds', 'peak_bytes')
"""Kinds of cost."""


@dataclass(frozen=True)
class ConfigOptions:
    """Options of every measurement.

    Attributes:
        config: Config file of a FreeSeg.
        seed: Seed of all that is random.
        cfg_options: entries of the config.

    Raises:
        ValueError: If a number is too small.
    """

    LEAST: ClassVar[dict[str, int]] = {}
    """Smallest number by option."""

    config: str
    seed: int = 0
    cfg_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in self.LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                option = name.replace('_', '-')
                raise ValueError(
                    f'--{option} {value}: expected at least {least}'
                )


@dataclass(frozen=True)
class BenchOptions(ConfigOptions):
    """Options of the measurements of a model.

    Attributes:
        against: A preset or another config file to measure, too.
        image_size: Longer side of the images, in pixels.
        batch: Images at once.
        classes: A number of generated names, or a vocabulary by name or
            file.
        runs: Timed runs of each side; their median counts.
        warmup: Runs before the timed ones.
        device: Device to run on; without, CUDA if there is one.
        threads: CPU threads; without, PyTorch's choice.
        against_options: entries of --against; without that, of the config
            as overridden by --cfg-options.

    Raises:
        FileNotFoundError: If ``against`` is neither a preset nor a config
            file.
        ValueError: If a number is too small, or options are given for a
            preset.
    """

    PRESETS: ClassVar[tuple[str, ...]] = ()
    """Names that ``against`` may have beside a config file's."""
    LEAST = {'runs': 1, 'warmup': 0, 'threads': 1}

    against: str | None = None
    image_size: int = 320
    batch: int = 1
    classes: str = '171'
    runs: int = 3
    warmup: int = 1
    device: str | None = None
    threads: int | None = None
    against_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.against in self.PRESETS:
            if self.against_options:
                raise ValueError(
                    '--against-options change a config, and --against '
                    f'{self.against} is none; it follows the first side'
                )
        elif self.against is not None and not Path(self.against).is_file():
            raise FileNotFoundError(
                f'--against {self.against!r} is neither a config file nor '
                f'one of the presets {list(self.PRESETS)}'
            )

    @property
    def other_config(self) -> tuple[str, dict[str, Any]] | None:
        """Config file of the second side and its overrides.

        ``None`` if there is no second side, or a preset.
        """
        if self.against in self.PRESETS:
            return None
        if self.against is not None:
            return self.against, self.against_options
        if self.against_options:
            return self.config, {**self.cfg_options, **self.against_options}
        return None


@dataclass(frozen=True)
class InferOptions(BenchOptions):
    """Options of ``freeseg-mm bench infer``; each run predicts all images.

    The preset ``reference`` is the flow of the authors' release on the same
    weights.

    Attributes:
        checkpoint: Weights of both sides; without, random ones.
        queries: Mask proposals; without, as configured.
        tasks: Some of semantic, instance, panoptic; without, as configured.
        images: Image files, or random.
        measure: Kinds of cost to measure.

    Raises:
        ValueError: If a kind of cost is unknown, too.
    """

    PRESETS = ('reference',)
    LEAST = {**BenchOptions.LEAST, 'queries': 1}

    checkpoint: str | None = None
    queries: int | None = None
    tasks: Sequence[str] | None = None
    images: Sequence[str] = ('random',)
    measure: Sequence[str] = KINDS

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.measure) - set(KINDS))
        if unknown or not self.measure:
            raise ValueError(
                f'--measure {unknown}: expected some of {list(KINDS)}'
            )


@dataclass(frozen=True)
class TrainOptions(BenchOptions):
    """Options of ``freeseg-mm bench train``; seen classes are trained.

    The preset ``mask2former`` is mmdet's own with the same backbone, pixel
    decoder, decoder, queries and batch.

    Attributes:
        task: The task that the step trains, or all: a step of each, and
            what one network of all tasks costs next to a network for each.
        segments: Segments of each generated image.
        data: Take the first batch of the config's own training data, with
            its images' size and vocabulary.
        count_only: Count multiply-adds in one step of each side, time
            nothing.

    Raises:
        ValueError: If all tasks are measured against another side, too.
    """

    PRESETS = ('mask2former',)
    LEAST = {**BenchOptions.LEAST, 'segments': 1, 'batch': 1}

    image_size: int = 128
    batch: int = 2
    classes: str = '156'
    task: str = 'panoptic'
    segments: int = 10
    data: bool = False
    count_only: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == ALL_TASKS and (self.against or self.against_options):
            raise ValueError(
                '--task all compares the tasks of one config; leave out '
                '--against and --against-options, or name a task'
            )


SIDES = ('this', 'pycocotools', 'stock')
"""Sides of ``bench metrics``."""


@dataclass(frozen=True)
class MetricsOptions(ConfigOptions):
    """Options of ``freeseg-mm bench metrics``.

    Attributes:
        images: Images to score; the test data's, again and again.
        detections: Predicted objects of each image.
        sides: Some of this (the config's metrics), pycocotools (which
            counts AP where hotcoco is not installed) and stock (mmseg's and
            mmdet's metrics). The peak of memory is that of all together.

    Raises:
        ValueError: If a side is unknown, too.
    """

    LEAST = {'images': 1, 'detections': 1}

    images: int = 100
    detections: int = 100
    sides: Sequence[str] = SIDES

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.sides) - set(SIDES))
        if unknown or not self.sides:
            raise ValueError(
                f'--sides {unknown}: expected some of {list(SIDES)}'
            )


@dataclass(frozen=True)
class DataOptions(ConfigOptions):
    """Options of ``freeseg-mm bench data``.

    Attributes:
        images: Images to load, in the order of the annotation file, again
            from the first if it has fewer.
        loader: The loader whose data to load: train, val or test.
    """

    LEAST = {'images': 1}

    images: int = 200
    loader: str = 'train'
