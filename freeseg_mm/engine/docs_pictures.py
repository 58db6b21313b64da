"""A picture of each form of output, for the documents."""

from collections.abc import Iterator, Mapping
from itertools import cycle, islice

import numpy as np

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.shapes.mode_scores import (
    choose_unseen,
    picture_modes,
    predict,
    read_image,
)
from freeseg_mm.structures import Task
from freeseg_mm.visualization import draw_segments, legend, panel
from freeseg_mm.visualization.browsing import sample_pictures
from freeseg_mm.visualization.palette import VISIONS, simulate

# Of scenes of 128 pixels.
_SCALE = 2
_GAP = 6
# By title of their column.
_MODES = {'query scores only': 'query', 'with CLIP': 'geometric'}
_LEGEND_WIDTH = 640


def docs_pictures(
    model: FreeSeg,
    test: OpenVocabPanopticDataset,
    train: OpenVocabPanopticDataset,
    modes: Mapping[str, str] = _MODES,
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw all forms, on images that are chosen by their truth alone.

    Args:
        model: The model, on the device to test on.
        test: A data set in test mode.
        train: A data set with its training pipeline.
        modes: Ensemble mode by title, for the picture that compares them.

    Yields:
        Name without suffix, and picture, RGB, (H, W, 3), uint8.

    Raises:
        ValueError: If no test image shows an unseen class.
    """
    words = test.vocabulary
    tasks = list(Task)
    chosen = choose_unseen(test, 1 + len(tasks))
    if not chosen:
        raise ValueError(
            'no test image shows an unseen class; choose other data'
        )
    first, *others = islice(cycle(chosen), 1 + len(tasks))
    yield (
        'shapes_demo',
        picture_modes(model, test, first, modes, scale=_SCALE),
    )
    for index, task in zip(others, tasks, strict=True):
        shown = read_image(test, index)
        predictions = predict(model, shown)
        rows = {'truth': shown.gt, 'prediction': predictions}
        of_task = {name: {task: views[task]} for name, views in rows.items()}
        yield task.value, panel(shown.image, of_task, words, scale=_SCALE)
    # of the last image, whose regions are the panoptic ones
    yield (
        'answer',
        panel(shown.image, {'answer': predictions}, words, scale=_SCALE),
    )
    yield 'side_by_side', panel(shown.image, rows, words, scale=_SCALE)
    cell = draw_segments(
        shown.image, shown.gt[Task.PANOPTIC], words, scale=_SCALE
    )
    yield 'colour_blind', as_seen(cell)
    yield (
        'legend',
        legend(range(len(words)), words, width=_LEGEND_WIDTH).picture,
    )
    ((_, browsed),) = sample_pictures(train, 1, show_seed=True)
    yield 'browse', browsed


def as_seen(picture: np.ndarray) -> np.ndarray:
    """A picture as each of ``VISIONS`` sees it, side by side.

    Args:
        picture: RGB, (H, W, 3), uint8.

    Returns:
        RGB, (H, W', 3), uint8.
    """
    gap = np.zeros((len(picture), _GAP, 3), np.uint8)
    columns = []
    for vision in VISIONS:
        seen = np.rint(255 * simulate(picture / 255, vision))
        columns += [seen.astype(np.uint8), gap]
    return np.concatenate(columns[:-1], axis=1)
