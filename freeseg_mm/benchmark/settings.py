"""What all measurements of models are told in the same way."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from freeseg_mm.version import __version__


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, of any kind.

    Attributes:
        config: Config file of a FreeSeg.
        against: A preset, another config file, or ``None``.
        image_size: Longer side of the images.
        batch: Images at once.
        classes: A number of generated names, or a vocabulary.
        runs: Timed runs of each side.
        warmup: Runs before them.
        device: Where to run; ``None`` for CUDA if there is one.
        cfg_options: Overrides of ``config``.
        against_options: Overrides of ``against``; without that, of the
            config as overridden by ``cfg_options``.
        threads: CPU threads; ``None`` for PyTorch's choice.
        seed: Of weights, images and truth.
    """

    config: str
    against: str | None = None
    image_size: int = 320
    batch: int = 1
    classes: str = '171'
    runs: int = 3
    warmup: int = 1
    device: str | None = None
    cfg_options: dict[str, Any] = field(default_factory=dict)
    against_options: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None
    seed: int = 0


def check_least(options: Any, **least: int) -> None:
    """Refuse numbers that are too small.

    Args:
        options: Has an attribute for each name; ``None`` is left alone.
        **least: Smallest number by name.

    Raises:
        ValueError: Naming the argument.
    """
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is not None and value < smallest:
            raise ValueError(f'--{name} {value}: expected at least {smallest}')


def check_against(
    against: str | None, options: dict[str, Any], presets: Sequence[str]
) -> None:
    """Refuse what nothing can be measured against.

    Raises:
        FileNotFoundError: If it is neither a preset nor a config file.
        ValueError: If options are given for a preset.
    """
    if against in presets:
        if options:
            raise ValueError(
                f'--against-options change a config, and --against {against} '
                'is none; it follows the first side'
            )
    elif against is not None and not Path(against).is_file():
        raise FileNotFoundError(
            f'--against {against!r} is neither a config file nor one of the '
            f'presets {list(presets)}'
        )


def other_config(options: BenchOptions) -> tuple[str, dict[str, Any]]:
    """Config file of the second side, and what to override in it."""
    if options.against is not None:
        return options.against, options.against_options
    return options.config, {**options.cfg_options, **options.against_options}


def prepare_device(device: str | None, threads: int | None) -> torch.device:
    """Choose where to run, by default a GPU if there is one.

    Args:
        device: As PyTorch names it.
        threads: CPU threads; ``None`` leaves PyTorch's choice.

    Raises:
        ValueError: If there is no such device.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'--device {device!r}: {reason}') from None
    return torch.device(device)


def settings(options: Any, device: torch.device) -> dict[str, Any]:
    """What a figure depends on, for the file that holds it."""
    return {
        **asdict(options),
        'device': (
            torch.cuda.get_device_name(device)
            if device.type == 'cuda'
            else device.type
        ),
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'version': __version__,
    }


def print_now(text: str) -> None:
    """Print to where a long measurement may be watched."""
    print(text, flush=True)
