"""Crops of labelled masks, embedded by CLIP once for all steps."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.models.clip import FrozenCLIP, MaskClassifier
from freeseg_mm.structures import (
    Segment,
    Task,
    Vocabulary,
    task_targets,
    teaches,
)

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


# Of a mask's pixels and of all others: classifiers take logits.
_INSIDE, _OUTSIDE = 10.0, -10.0


@dataclass(frozen=True)
class EmbeddedCrops:
    """K crops in CLIP's joint space.

    Attributes:
        embeds: Unit-norm, (K, D), float32.
        labels: Class index of each, (K,), int64.
        tasks: Place of each one's task in :class:`Task`, (K,), int64.
        images: Index of each one's image in the data set, (K,), int64.
    """

    embeds: Tensor
    labels: Tensor
    tasks: Tensor
    images: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> 'EmbeddedCrops':
        """Those of some rows, given by index or mask."""
        return EmbeddedCrops(*(part[rows] for part in vars(self).values()))

    @classmethod
    def joined(cls, parts: 'Iterable[EmbeddedCrops]') -> 'EmbeddedCrops':
        """Several as one."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(torch.cat, columns))


class ChosenMasks(Dataset):
    """Images of a choice with the masks that were chosen of them.

    Args:
        dataset: Images with ``gt_seg_map``, as its pipeline loads them.
        choice: What to take of it.
        seed: Which of several masks of a class is taken.
    """

    def __init__(
        self, dataset: OpenVocabPanopticDataset, choice: CropChoice, seed: int
    ) -> None:
        self._dataset = dataset
        self._wishes = list(choice.wishes.items())
        self._seed = seed

    def __len__(self) -> int:
        return len(self._wishes)

    def __getitem__(self, place: int) -> dict[str, Any]:
        """One image.

        Returns:
            ``image``, RGB in [0, 255], (3, H, W), float32; ``masks``, (M,
            H, W), bool; ``labels`` and ``tasks``, (M,); ``index`` of the
            image. A class whose pixels are all hidden has no mask.
        """
        index, wishes = self._wishes[place]
        loaded = self._dataset.prepare_data(index)
        rng = np.random.default_rng((self._seed, index))
        segment_map = torch.from_numpy(loaded['gt_seg_map'])
        masks, labels, tasks = [], [], []
        for number, task in enumerate(Task):
            targets = task_targets(
                segment_map, loaded['segments'], loaded['vocabulary'], task
            )
            for label in (wish[1] for wish in wishes if wish[0] is task):
                (places,) = np.nonzero(targets.labels.numpy() == label)
                if len(places):
                    masks.append(targets.masks[rng.choice(places)])
                    labels.append(label)
                    tasks.append(number)
        # mmcv reads BGR
        image = np.ascontiguousarray(loaded['img'][..., ::-1])
        return {
            'image': torch.from_numpy(image).permute(2, 0, 1).float(),
            'masks': torch.stack(masks) if masks else torch.zeros(0),
            'labels': torch.tensor(labels, dtype=torch.long),
            'tasks': torch.tensor(tasks, dtype=torch.long),
            'index': index,
        }


def embed_crops(
    masks: ChosenMasks,
    clip: FrozenCLIP,
    classifier: MaskClassifier,
    *,
    workers: int,
) -> EmbeddedCrops:
    """Show CLIP each mask as ``classifier`` does when FreeSeg is tested.

    CLIP is frozen and crops are not varied, so once is enough.

    Args:
        masks: The masks.
        clip: CLIP, on the device to compute on.
        classifier: How CLIP is shown a mask.
        workers: Processes that read images; 0 reads in this one.
    """
    loader = DataLoader(masks, batch_size=None, num_workers=workers)
    return EmbeddedCrops.joined(
        _embed(item, clip, classifier)
        for item in tqdm(loader, 'showing CLIP masks', unit='image')
        if len(item['labels'])
    )


def _embed(
    item: Mapping[str, Any], clip: FrozenCLIP, classifier: MaskClassifier
) -> EmbeddedCrops:
    device = clip.text.device
    logits = torch.where(item['masks'], _INSIDE, _OUTSIDE)
    embeds, valid = classifier(
        clip, item['image'][None].to(device), logits[None].to(device)
    )
    return EmbeddedCrops(
        embeds=embeds[0].float().cpu(),
        labels=item['labels'],
        tasks=item['tasks'],
        images=torch.full_like(item['labels'], item['index']),
    )[valid[0].cpu()]
