"""Pictures of the samples of a data set."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.structures import Task
from freeseg_mm.utils.seeded import seeded

from .panel import panel
from .sample_view import sample_view


def spread_indices(length: int, num: int) -> list[int]:
    """At most ``num`` indices, evenly over a data set.

    Raises:
        ValueError: If no picture is asked for.
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
    """Draw what the pipeline makes of some images.

    Args:
        dataset: With a pipeline that packs.
        num: How many pictures, evenly over the data set.
        tasks: Whose targets are drawn, a column each.
        seed: Of the first picture; each further one has the next.
        show_seed: Whether the picture says its seed. The same seed and image
            give the same picture.

    Yields:
        File name and picture, RGB, (H', W', 3), uint8.

    Raises:
        ValueError: If ``num`` is not positive, an image or its truth is
            unusable, or the pipeline refuses it.
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
