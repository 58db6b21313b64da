"""Images and vocabularies to measure with."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmdet.structures import DetDataSample

from freeseg_mm.structures import Vocabulary

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
