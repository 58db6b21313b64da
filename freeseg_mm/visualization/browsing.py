"""Choice of dataset images, and pictures of them as pipelines leave them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample
from PIL import Image
from torch import Tensor

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.scopes import seeded

from .panel import panel
from .regions import GROUND_TRUTH, TaskRegions, known_regions


def choose_images(
    labels_of_images: Sequence[Collection[int]],
    wanted: Collection[int],
    count: int,
) -> list[int]:
    """Choose few images that show as many of some classes as possible.

    Each choice is the image with the most wanted classes that were not
    shown yet, then with the most wanted ones at all, then the first. When
    all have been shown, they count as new again. Predictions play no role.

    Args:
        labels_of_images: Classes that each image shows.
        wanted: The classes of interest.
        count: Most images to choose.

    Returns:
        Indices of the chosen images in the order of choice; only images
        with a wanted class, so there may be fewer than ``count``.
    """
    shows = [set(labels) & set(wanted) for labels in labels_of_images]
    left = [index for index, labels in enumerate(shows) if labels]
    chosen: list[int] = []
    new: set[int] = set()
    while left and len(chosen) < count:
        if not any(shows[index] & new for index in left):
            new = set(wanted)
        best = max(
            left,
            key=lambda i: (len(shows[i] & new), len(shows[i]), -i),
        )
        chosen.append(best)
        left.remove(best)
        new -= shows[best]
    return chosen


def spread_indices(length: int, num: int) -> list[int]:
    """At most ``num`` indices, evenly over a dataset.

    Raises:
        ValueError: If ``num`` is not positive.
    """
    if num < 1:
        raise ValueError(f'expected at least 1 picture, got {num}')
    num = min(num, length)
    return [position * length // num for position in range(num)]


def sample_pictures(
    dataset: OpenVocabPanopticDataset,
    num: int,
    *,
    tasks: Sequence[Task] = tuple(Task),
    seed: int = 0,
    show_seed: bool = False,
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw samples as they leave the pipeline.

    Args:
        dataset: With a pipeline that packs.
        num: Number of pictures, evenly over the dataset.
        tasks: Tasks whose targets are drawn, a column each.
        seed: Of the first picture; each further one has the next.
        show_seed: Whether the picture says its seed. The same seed and image
            give the same picture.

    Yields:
        File name and picture, RGB, (H', W', 3), uint8.

    Raises:
        ValueError: If ``num`` is not positive, an image or its ground truth
            is unusable, or the pipeline refuses it.
        FileNotFoundError: If a file is missing.
    """
    for number, index in enumerate(spread_indices(len(dataset), num)):
        with seeded(seed + number):
            packed = dataset.prepare_data(index)
        path = Path(dataset.get_data_info(index)['img_path'])
        if packed is None:
            raise ValueError(
                f'{path}: the pipeline refuses it with seed {seed + number}; '
                'choose another seed'
            )
        view = sample_view(packed)
        note = f'{path.name}: {view.note}'
        if show_seed:
            note += f', seed {seed + number}'
        row = {task: view.regions[task] for task in tasks}
        picture = panel(
            view.image, {view.source: row}, view.vocabulary, title=note
        )
        yield f'{index:06d}_{path.stem}.png', picture


@dataclass(frozen=True)
class SampleView:
    """A sample as it leaves its pipeline.

    Attributes:
        image: RGB, (H, W, 3), uint8.
        regions: Regions of each task; pixels without supervision are
            ignored.
        vocabulary: Classes of the labels.
        source: Source of the regions, see :func:`known_regions`.
        note: Size, flip and task of the sample, in words.
    """

    image: np.ndarray
    regions: dict[Task, TaskRegions]
    vocabulary: Vocabulary
    source: str
    note: str


def sample_view(packed: Mapping[str, Any]) -> SampleView:
    """Turn a packed sample into image and regions to draw.

    A training sample shows the targets of :func:`task_targets`, which the
    losses are computed from. A test sample carries no targets: it shows the
    ground truth of its label files, and the image is brought back to their
    size.

    Args:
        packed: ``inputs``, BGR, (3, H, W), [0, 255], and ``data_samples``,
            as ``PackDetInputs`` makes them.

    Raises:
        ValueError: If nothing is packed, or the sample has neither targets
            nor label files.
        FileNotFoundError: If a label file of a test sample is missing.
    """
    if not {'inputs', 'data_samples'} <= set(packed):
        raise ValueError(
            f'the pipeline gives {sorted(packed)}, expected inputs and '
            'data_samples; does it end in PackDetInputs?'
        )
    sample: DetDataSample = packed['data_samples']
    image = _to_rgb(packed['inputs'])
    vocabulary: Vocabulary = sample.vocabulary
    known = known_regions(sample, vocabulary)
    if known is None:
        raise ValueError(
            'the pipeline packs neither gt_sem_seg nor seg_map_path, so there '
            'is nothing to draw; load the ground truth with '
            'freeseg_mm.LoadPanopticSegments, or keep seg_map_path and '
            'segments in the meta_keys of PackDetInputs'
        )
    source, regions = known
    if source == GROUND_TRUTH:
        height, width = sample.ori_shape
        image = np.asarray(Image.fromarray(image).resize((width, height)))
    return SampleView(image, regions, vocabulary, source, _note(packed))


def _to_rgb(inputs: Tensor) -> np.ndarray:
    # colour distortion leaves floats, and some beyond the range
    image = inputs.float().round().clamp(0, 255).byte()
    return np.ascontiguousarray(image.flip(0).permute(1, 2, 0).numpy())


def _note(packed: Mapping[str, Any]) -> str:
    sample = packed['data_samples']
    height, width = packed['inputs'].shape[-2:]
    parts = [f'{width} x {height}']
    if sample.get('flip'):
        parts.append('flipped')
    if sample.get('task') is not None:
        parts.append(f'{sample.task.value} drawn')
    return ', '.join(parts)
