"""Pictures of what a network answers in several ensemble modes."""

from collections.abc import Mapping

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.visualization import (
    choose_images,
    panel,
    prediction_regions,
    truth_regions,
)

from .mode_scores import ensemble_mode


def choose_unseen(dataset: OpenVocabPanopticDataset, count: int) -> list[int]:
    """Choose test images that show unseen classes, by their truth alone.

    Args:
        dataset: A data set whose samples keep their unseen labels.
        count: Most images to choose.

    Returns:
        Indices of samples; see :func:`choose_images`.
    """
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    is_seen = dataset.vocabulary.is_seen
    return choose_images(
        [{s['label'] for s in record['segments']} for record in records],
        [label for label, seen in enumerate(is_seen) if not seen],
        count,
    )


@torch.no_grad()
def picture_modes(
    model: FreeSeg,
    dataset: OpenVocabPanopticDataset,
    index: int,
    modes: Mapping[str, str],
    *,
    scale: int | None = None,
) -> np.ndarray:
    """Draw truth and answers of one test image, a row for each mode.

    Args:
        model: The model, on the device to test on.
        dataset: The data set, in test mode.
        index: Which image.
        modes: Mode by the title of its row.
        scale: See :func:`panel`.

    Returns:
        RGB, (H, W, 3), uint8.
    """
    model.eval()
    sample = dataset[index]
    truth = sample['data_samples'].to_dict()
    rows = {'truth': truth_regions(truth, dataset.vocabulary)}
    for title, mode in modes.items():
        with ensemble_mode(model, mode):
            (answer,) = model.test_step(pseudo_collate([sample]))
        rows[title] = prediction_regions(answer.to_dict())
    with Image.open(truth['img_path']) as file:
        image = np.asarray(file.convert('RGB'))
    return panel(image, rows, dataset.vocabulary, scale=scale)
