"""Options of the measurements, as dataclasses that the command line reads.

The ``help`` of a field describes it; its other metadata are arguments of
:meth:`argparse.ArgumentParser.add_argument`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

KINDS = ('counts', 'macs', 'seconds', 'peak_bytes')
"""Kinds of cost."""


def option(default: Any, what: str, **metadata: Any) -> Any:
    """Define a field with a default and its description."""
    return field(default=default, metadata={'help': what, **metadata})


def overrides(what: str) -> Any:
    """Define a field with overrides of config entries."""
    return field(default_factory=dict, metadata={'help': what})


@dataclass(frozen=True)
class BenchOptions:
    """Options of every measurement.

    Raises:
        FileNotFoundError: If ``against`` is neither a preset nor a config
            file.
        ValueError: If a number is too small, or options are given for a
            preset.
    """

    PRESETS: ClassVar[tuple[str, ...]] = ()
    """Names that ``against`` may have beside a config file's."""
    LEAST: ClassVar[dict[str, int]] = {'runs': 1, 'warmup': 0, 'threads': 1}
    """Smallest number by option."""

    config: str = field(metadata={'help': 'config file of a FreeSeg'})
    image_size: int = option(
        320, 'longer side of the images in pixels', metavar='S'
    )
    batch: int = option(1, 'images at once', metavar='B')
    classes: str = option(
        '171',
        'number of generated names, or a vocabulary by name or file',
        metavar='K',
    )
    runs: int = option(3, 'timed runs of each side; their median counts')
    warmup: int = option(1, 'runs before the timed ones')
    seed: int = option(0, 'seed of weights, images and ground truth')
    device: str | None = option(
        None, 'device to run on; default: cuda if there is one'
    )
    threads: int | None = option(
        None, "CPU threads; default: PyTorch's choice", type=int
    )
    cfg_options: dict[str, Any] = overrides('entries of the config')
    against: str | None = option(
        None,
        'measure this, too: a preset or another config file',
        metavar='PRESET_OR_CONFIG',
    )
    against_options: dict[str, Any] = overrides(
        'entries of --against; without that, of the first side'
    )

    def __post_init__(self) -> None:
        for name, least in self.LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(
                    f'--{name} {value}: expected at least {least}'
                )
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

    Raises:
        ValueError: If a kind of cost is unknown, too.
    """

    PRESETS = ('reference',)
    LEAST = {**BenchOptions.LEAST, 'queries': 1}

    checkpoint: str | None = option(
        None, 'weights of both sides; default random ones', metavar='FILE'
    )
    queries: int | None = option(
        None, 'mask proposals; default as configured', type=int, metavar='N'
    )
    tasks: Sequence[str] | None = option(
        None,
        'semantic, instance, panoptic; default as configured',
        nargs='+',
        metavar='TASK',
    )
    images: Sequence[str] = option(
        ('random',), "image files, or 'random'", nargs='+', metavar='FILE'
    )
    measure: Sequence[str] = option(
        KINDS, 'kinds of cost to measure', nargs='+', metavar='KIND'
    )

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
    """

    PRESETS = ('mask2former',)
    LEAST = {**BenchOptions.LEAST, 'segments': 1, 'batch': 1}

    image_size: int = option(
        128, 'longer side of the images in pixels', metavar='S'
    )
    batch: int = option(2, 'images at once', metavar='B')
    classes: str = option(
        '156',
        'number of generated names, or a vocabulary by name or file',
        metavar='K',
    )
    task: str = option('panoptic', 'task that the step trains')
    segments: int = option(10, 'segments of each generated image')
    data: bool = option(
        False, "take the first batch of the config's own training data"
    )
    count_only: bool = option(
        False, 'count multiply-adds in one step of each side, time nothing'
    )
