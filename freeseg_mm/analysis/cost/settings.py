"""What all measurements of models are told in the same way."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.quiet import quiet_logger
from freeseg_mm.utils.run_config import check_options
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


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and override entries of it.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If an option could have no effect.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no config file {path!r}')
    config = Config.fromfile(path)
    if options:
        check_options(config, options)
        config.merge_from_dict(options)
    return config


def build_model(
    config: ConfigDict,
    *,
    device: torch.device,
    seed: int,
    checkpoint: str | None = None,
) -> Any:
    """Build a model.

    Args:
        config: Config of the model.
        device: Where to put it.
        seed: Of random weights.
        checkpoint: Weights; without, all weights are random, CLIP's too.

    Returns:
        The model in eval mode.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
    """
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint!r}')
    config = copy.deepcopy(config)
    if checkpoint is None:
        _forget_weights(config)
        if 'clip' in config:
            config.clip.pretrained = 'random'
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    with quiet_logger():
        model = MODELS.build(config)
        model.init_weights()
        if checkpoint is not None:
            load_checkpoint(model, checkpoint, map_location='cpu')
    return model.to(device).eval()


def _forget_weights(config: Any) -> None:
    """Take every weight file out of a config."""
    children = config
    if isinstance(config, dict):
        init_cfg = config.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg['type'] == 'Pretrained':
            config['init_cfg'] = None
        children = config.values()
    elif not isinstance(config, list | tuple):
        return
    for child in children:
        _forget_weights(child)


RANDOM = 'random'
SMALLEST = 32


def make_vocabulary(classes: str, seen_only: bool = False) -> Vocabulary:
    """A vocabulary by name or file, or one of as many generated names.

    Of generated names every second one is a thing and every third unseen.

    Args:
        classes: A number, a built-in vocabulary's name or a ``.json`` path.
        seen_only: Whether to give what training may use: the seen classes,
            or as many names, all seen.

    Raises:
        FileNotFoundError: If there is no such vocabulary.
        ValueError: If the number is not positive.
    """
    if not classes.lstrip('-').isdigit():
        vocabulary = Vocabulary.load(classes)
        return vocabulary.seen_only() if seen_only else vocabulary
    count = int(classes)
    if count < 1:
        raise ValueError(f'--classes {count}: expected at least 1')
    names = [f'class number {index}' for index in range(count)]
    return Vocabulary.from_names(
        names,
        things=names[::2],
        unseen=() if seen_only else names[::3],
        name=f'{count} names',
    )


def make_images(
    files: Sequence[str], size: int, batch: int, seed: int
) -> list[torch.Tensor]:
    """Images as a pipeline hands them to the preprocessor.

    Random ones are ``size`` x ``size`` and smooth at several scales; others
    are resized so that the longer side is ``size``, and repeated if they do
    not fill a batch.

    Args:
        files: Image files, or ``random`` alone.
        size: Longer side of each image, in pixels.
        batch: Images wanted at least; random ones, exactly.
        seed: Of random images.

    Returns:
        BGR in [0, 255], each (3, H, W), uint8.

    Raises:
        FileNotFoundError: If an image does not exist.
        ValueError: If a size is too small or a file is no image.
    """
    if size < SMALLEST:
        raise ValueError(
            f'--image-size {size}: expected at least {SMALLEST} pixels, the '
            "coarsest map's stride"
        )
    if batch < 1:
        raise ValueError(f'--batch {batch}: expected at least 1')
    if list(files) == [RANDOM]:
        return _random_images(size, batch, seed)
    images = [_read(file, size) for file in files]
    count = max(batch, len(images))
    return [images[index % len(images)] for index in range(count)]


def make_samples(
    images: Sequence[torch.Tensor], vocabulary: Vocabulary
) -> list[DetDataSample]:
    """Samples of images, as the pipelines make them."""
    samples = []
    for index, image in enumerate(images):
        size = tuple(image.shape[-2:])
        sample = DetDataSample()
        sample.set_metainfo(
            {
                'img_id': index,
                'img_shape': size,
                'ori_shape': size,
                'scale_factor': (1.0, 1.0),
                'vocabulary': vocabulary,
            }
        )
        samples.append(sample)
    return samples


def _random_images(size: int, batch: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(batch, 3, size, size)
    for cells in (2, 4, 8, 16):
        noise = torch.rand(batch, 3, cells, cells, generator=generator)
        total += torch.nn.functional.interpolate(
            noise, (size, size), mode='bilinear'
        )
    return list((total * (255 / 4)).to(torch.uint8))


def _read(file: str, size: int) -> torch.Tensor:
    if not Path(file).is_file():
        raise FileNotFoundError(f'no image {file!r}')
    image = mmcv.imread(file)
    if image is None:
        raise ValueError(f'{file}: not readable as an image')
    image = mmcv.imrescale(image, (size, size))
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
