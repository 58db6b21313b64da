"""Devices, models, vocabularies and images of all measurements."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.open_image import read_rgb
from freeseg_mm.utils.scopes import quiet_logger
from freeseg_mm.version import __version__

from .options import BenchOptions

RANDOM = 'random'
SMALLEST = 32


def prepare_device(options: BenchOptions) -> torch.device:
    """Choose the device, by default a GPU if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = options.device
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'--device {device!r}: {reason}') from None
    return torch.device(device)


def settings(options: BenchOptions, device: torch.device) -> dict[str, Any]:
    """List what a figure depends on, for the file that holds it."""
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
        device: Device to put it on.
        seed: Seed of random weights.
        checkpoint: Weights; without, all weights are random, CLIP's too.

    Returns:
        The model in eval mode.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it does not fit the model.
    """
    if checkpoint is not None:
        weights = WeightsInfo.read(Path(checkpoint))
    config = copy.deepcopy(config)
    if checkpoint is None:
        _forget_weights(config)
        if 'clip' in config:
            config.clip.pretrained = 'random'
    torch.manual_seed(seed)
    with quiet_logger():
        model = MODELS.build(config)
        model.init_weights()
        if checkpoint is not None:
            weights.check(model)
            model.load_state_dict(weights.content['state_dict'])
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


def make_vocabulary(classes: str, seen_only: bool = False) -> Vocabulary:
    """Load a vocabulary, or make one of as many generated names.

    Of generated names every second one is a thing and every third unseen.

    Args:
        classes: A number, a built-in vocabulary's name or a ``.json`` path.
        seen_only: Keep what training may use: the seen classes, or as many
            names, all seen.

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
    """Make images as a pipeline hands them to the preprocessor.

    Random ones are ``size`` x ``size`` and smooth at several scales; others
    are resized so that the longer side is ``size``, and repeated if they do
    not fill a batch.

    Args:
        files: Image files, or ``random`` alone.
        size: Longer side of each image, in pixels.
        batch: Images wanted at least; random ones, exactly.
        seed: Seed of random images.

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
        generator = torch.Generator().manual_seed(seed)
        total = torch.zeros(batch, 3, size, size)
        for cells in (2, 4, 8, 16):
            noise = torch.rand(batch, 3, cells, cells, generator=generator)
            total += torch.nn.functional.interpolate(
                noise, (size, size), mode='bilinear'
            )
        return list((total * (255 / 4)).to(torch.uint8))
    images = [_read(file, size) for file in files]
    count = max(batch, len(images))
    return [images[index % len(images)] for index in range(count)]


def make_samples(
    images: Sequence[torch.Tensor], vocabulary: Vocabulary
) -> list[DetDataSample]:
    """Make samples of images, as the pipelines do."""
    samples = []
    for index, image in enumerate(images):
        size = tuple(image.shape[-2:])
        samples.append(
            DetDataSample(
                metainfo={
                    'img_id': index,
                    'img_shape': size,
                    'ori_shape': size,
                    'scale_factor': (1.0, 1.0),
                    'vocabulary': vocabulary,
                }
            )
        )
    return samples


def _read(file: str, size: int) -> torch.Tensor:
    try:
        image = read_rgb(file)[..., ::-1]
    except FileNotFoundError:
        raise FileNotFoundError(f'no image {file!r}') from None
    image = mmcv.imrescale(image, (size, size))
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
