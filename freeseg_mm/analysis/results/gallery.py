"""Pictures of the worst answers, beside the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.visualization import gt_regions, panel

from .collecting import Specimen, Worst
from .image_scores import SCORE_NAMES


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery.

    Attributes:
        path: The PNG, from the folder of the index.
        name: File name of the image.
        score: Of the answer, percent.
    """

    path: str
    name: str
    score: float


def write_gallery(
    worst: Mapping[Task, Worst[Specimen]], vocabulary: Vocabulary, out: Path
) -> dict[Task, list[Picture]]:
    """Draw truth and answer of the worst images of each task.

    Args:
        worst: Images by task.
        vocabulary: What labels refer to.
        out: Folder that gets ``gallery/TASK_NUMBER.png``.

    Returns:
        The pictures by task, the worst first.

    Raises:
        FileNotFoundError: If an image or a label file does not exist.
    """
    (out / 'gallery').mkdir(parents=True, exist_ok=True)
    jobs = [
        (task, number, score, specimen)
        for task, images in worst.items()
        for number, (score, specimen) in enumerate(images.sorted(), start=1)
    ]
    gallery: dict[Task, list[Picture]] = {task: [] for task in worst}
    for task, number, score, specimen in tqdm(jobs, 'drawing', unit='picture'):
        path = f'gallery/{task.value}_{number:02d}.png'
        drawn = _draw(task, score, specimen, vocabulary)
        Image.fromarray(drawn).save(out / path)
        gallery[task].append(Picture(path, specimen.name, score))
    return gallery


def _draw(
    task: Task, score: float, specimen: Specimen, vocabulary: Vocabulary
) -> np.ndarray:
    with Image.open(specimen.sample['img_path']) as file:
        image = np.asarray(file.convert('RGB'))
    gt = gt_regions(specimen.sample, vocabulary)[task]
    title = f'{specimen.name}: {SCORE_NAMES[task]} {score:.1f}'
    return panel(
        image,
        {'truth': {task: gt}, 'answer': {task: specimen.prediction}},
        vocabulary,
        title=title,
    )
