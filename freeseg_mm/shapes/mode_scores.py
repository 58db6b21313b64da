"""One network, judged by the scores of queries, of CLIP and of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import TestLoop
from tqdm import tqdm

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task
from freeseg_mm.utils.open_image import read_rgb
from freeseg_mm.visualization import (
    TaskRegions,
    choose_images,
    gt_regions,
    panel,
    prediction_regions,
)


@torch.no_grad()
def score_modes(
    model: FreeSeg, loop: TestLoop, modes: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Test a loaded model once for each of several ensemble modes.

    Args:
        model: The model, on the device to test on.
        loop: Data and metrics of the test.
        modes: Mode by the name of its results.

    Returns:
        The metrics of each mode, by name, percent.
    """
    model.eval()
    results = {}
    for name, mode in modes.items():
        options = model.predict_options.override(mode=mode)
        for batch in tqdm(loop.dataloader, desc=name, unit='batch'):
            samples = model.test_step(batch, options)
            loop.evaluator.process(data_samples=samples, data_batch=batch)
        num_images = len(loop.dataloader.dataset)
        results[name] = loop.evaluator.evaluate(num_images)
    return results


def choose_unseen(dataset: OpenVocabPanopticDataset, count: int) -> list[int]:
    """Choose test images that show unseen classes, by their ground truth.

    Args:
        dataset: A dataset whose samples keep their unseen labels.
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


@dataclass(frozen=True)
class ShownImage:
    """A test image with its ground truth.

    Attributes:
        image: RGB, (H, W, 3), uint8.
        gt: Regions of its label files.
        packed: The sample as the pipeline packs it.
    """

    image: np.ndarray
    gt: dict[Task, TaskRegions]
    packed: dict[str, Any]


def read_image(dataset: OpenVocabPanopticDataset, index: int) -> ShownImage:
    """Read one image of a dataset in test mode.

    Raises:
        ValueError: If a label file is unusable; it is named.
        FileNotFoundError: If a file is missing.
    """
    packed = dataset[index]
    sample = packed['data_samples'].to_dict()
    image = read_rgb(sample['img_path'])
    return ShownImage(image, gt_regions(sample, dataset.vocabulary), packed)


@torch.no_grad()
def predict(
    model: FreeSeg, shown: ShownImage, options: PredictOptions | None = None
) -> dict[Task, TaskRegions]:
    """Predict a test image with a model that is on the device to test on."""
    model.eval()
    (sample,) = model.test_step(pseudo_collate([shown.packed]), options)
    return prediction_regions(sample.to_dict(), len(sample.vocabulary))


def picture_modes(
    model: FreeSeg,
    dataset: OpenVocabPanopticDataset,
    index: int,
    modes: Mapping[str, str],
    *,
    scale: int | None = None,
) -> np.ndarray:
    """Draw ground truth and predictions of a test image, a column a mode.

    Args:
        model: The model, on the device to test on.
        dataset: The dataset, in test mode.
        index: Of the image.
        modes: Mode by the title of its column.
        scale: See :func:`panel`.

    Returns:
        RGB, (H, W, 3), uint8.
    """
    shown = read_image(dataset, index)
    rows = {'ground truth': shown.gt}
    for title, mode in modes.items():
        options = model.predict_options.override(mode=mode)
        rows[title] = predict(model, shown, options)
    return panel(shown.image, rows, dataset.vocabulary, scale=scale)
