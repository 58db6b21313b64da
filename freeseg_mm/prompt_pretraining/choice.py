"""Which masks of a data set prompts are learned from and tested on."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.structures import Segment, Task, Vocabulary, teaches

# Of an image: a mask of which task and class.
Wish = tuple[Task, int]


@dataclass(frozen=True)
class CropChoice:
    """The masks of some images.

    Attributes:
        wishes: For each image by its index, which masks: one of each task
            and class.
        is_held_out: Of each of all images, whether its masks are for
            testing.
    """

    wishes: Mapping[int, Sequence[Wish]]
    is_held_out: np.ndarray

    def __len__(self) -> int:
        return sum(map(len, self.wishes.values()))


def choose_crops(
    dataset: OpenVocabPanopticDataset,
    *,
    per_class: int,
    held_out: float,
    seed: int,
) -> CropChoice:
    """Choose images of each task and class, as the annotations tell them.

    No image is both learned from and tested on. What the data set hides
    (unseen classes) is not in its records.

    Args:
        dataset: The data set.
        per_class: Most images to learn a class from, for each task; a
            share of as many more is tested on.
        held_out: Share of the images to test on, 0 to 1.
        seed: Of the choice.

    Raises:
        ValueError: If there is nothing left to learn from or to test on.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dataset))
    is_held_out = np.zeros(len(dataset), dtype=bool)
    is_held_out[order[: round(held_out * len(dataset))]] = True
    most = {False: per_class, True: max(1, round(held_out * per_class))}
    counts: dict[tuple[bool, Wish], int] = defaultdict(int)
    wishes = {}
    for index in tqdm(order.tolist(), 'choosing crops', unit='image'):
        segments = dataset.get_data_info(index)['segments']
        apart = bool(is_held_out[index])
        chosen = []
        for wish in _offers(segments, dataset.sample_vocabulary):
            if counts[apart, wish] < most[apart]:
                counts[apart, wish] += 1
                chosen.append(wish)
        if chosen:
            wishes[index] = chosen
    for apart, purpose in ((False, 'learn from'), (True, 'test on')):
        if not any(is_held_out[index] == apart for index in wishes):
            raise ValueError(
                f'{dataset.ann_file}: no mask of a seen class is left to '
                f'{purpose}, with held_out={held_out} of {len(dataset)} '
                'images; give more images or another held_out'
            )
    return CropChoice(dict(sorted(wishes.items())), is_held_out)


def _offers(
    segments: Sequence[Segment], vocabulary: Vocabulary
) -> Iterator[Wish]:
    """Task and class of the masks that an image has."""
    for task in Task:
        labels = {
            segment['label'] for segment in segments if teaches(segment, task)
        }
        for label in sorted(labels):
            if task is not Task.INSTANCE or vocabulary.is_thing[label]:
                yield task, label
