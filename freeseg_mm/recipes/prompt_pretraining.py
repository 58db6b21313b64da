"""Prompts learned before the network, as CoOp does: by classifying crops.

Frozen CLIP embeds crops of the labelled masks of seen classes, once; only
the prompts learn.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm, trange

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.models.clip import FrozenCLIP, MaskClassifier
from freeseg_mm.models.layers import max_over_synonyms
from freeseg_mm.models.prompts import (
    AdaptivePromptLearner,
    FixedPrompt,
    PromptLearner,
    beside_text,
    build_prompts,
    prompt_file,
)
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import (
    Segment,
    Task,
    Vocabulary,
    task_targets,
    teaches,
)
from freeseg_mm.utils.files import atomic_path
from freeseg_mm.utils.scopes import full_precision

_LOADER = 'freeseg_mm.LoadPanopticSegments'
_DEFAULT_CLASSIFIER = {'type': 'freeseg_mm.CropMaskClassifier'}
# Logits of a mask's pixels and of all others, for classifiers.
_INSIDE, _OUTSIDE = 10.0, -10.0


@dataclass(frozen=True, kw_only=True)
class PromptTraining:
    """Settings of a training of prompts.

    Attributes:
        iters: Number of steps; each is of one task, drawn evenly.
        batch_size: Crops of a step, each class equally likely.
        lr: AdamW's learning rate at the start; falls as a half cosine.
        weight_decay: AdamW's.
        crops_per_class: Most crops that a class is learned from, for each
            task, each of another image.
        held_out: Share of the images that are for testing alone.
        seed: Seed of images, masks, crops and the prompts' start.

    Raises:
        ValueError: If a number is out of range.
    """

    iters: int = 300
    batch_size: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.0
    crops_per_class: int = 64
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ('iters', self.iters >= 1, 'at least 1'),
            ('batch_size', self.batch_size >= 1, 'at least 1'),
            ('lr', self.lr > 0, 'more than 0'),
            ('weight_decay', self.weight_decay >= 0, 'at least 0'),
            ('crops_per_class', self.crops_per_class >= 1, 'at least 1'),
            ('held_out', 0 < self.held_out < 1, 'between 0 and 1'),
            ('seed', self.seed >= 0, 'at least 0'),
        ):
            if not fits:
                raise ValueError(
                    f'{name} is {getattr(self, name)}, expected {expected}'
                )


@dataclass(frozen=True)
class PretrainingReport:
    """Accuracy on held-out crops of seen classes.

    Attributes:
        num_learned: Crops that were learned from.
        num_held_out: Crops that were tested on.
        accuracy: In percent, mean over classes, for each task; of the
            prompts ``before`` and ``after``, and of the ``fixed`` sentence.
    """

    num_learned: int
    num_held_out: int
    accuracy: Mapping[str, Mapping[Task, float]]


def pretrain_prompts(
    config: Config,
    out: Path,
    training: PromptTraining,
    *,
    device: str | None = None,
    workers: int | None = None,
) -> PretrainingReport:
    """Learn a config's prompts from its training data, and write them.

    Only the seen classes of the data are read, whatever the config says.

    Args:
        config: Config of a run; ``model.clip``, ``.prompt_learner`` and
            ``.mask_classifier``, and the training data are used.
        out: File to write, ``.pth``; for ``model.prompt_learner.init_cfg``.
        training: Settings of the training.
        device: As ``cuda:0``; ``None`` for mmengine's choice.
        workers: Processes that read images; ``None`` for those of the
            config's training loader.

    Raises:
        FileNotFoundError: If ``out`` has no folder, or data or CLIP are
            absent.
        ValueError: If ``out`` does not end in ``.pth``, the config has no
            prompts to learn or several datasets, and for bad data.
    """
    if out.suffix != '.pth':
        raise ValueError(f'--out {out}: expected a name ending in .pth')
    if not out.parent.is_dir():
        raise FileNotFoundError(f'--out {out}: no folder {out.parent}')
    dataset = seen_dataset(config)
    vocabulary = dataset.sample_vocabulary
    clip: FrozenCLIP = MODELS.build(config.model.clip)
    torch.manual_seed(training.seed)
    learner = build_prompts(config.model.prompt_learner, clip)
    if not isinstance(learner, AdaptivePromptLearner) or not any(
        value.numel() for value in learner.parameters()
    ):
        raise ValueError(
            f'model.prompt_learner is a {type(learner).__name__} without '
            'learned prompts; expected a freeseg_mm.AdaptivePromptLearner '
            'with tokens to learn'
        )
    classifier = MODELS.build(
        config.model.get('mask_classifier') or _DEFAULT_CLASSIFIER
    )
    classifier.check(clip)
    learner.check_lengths(clip.text, vocabulary, tuple(Task))
    clip.to(device or get_device())
    learner.to(clip.text.device)
    choice = choose_crops(
        dataset,
        per_class=training.crops_per_class,
        held_out=training.held_out,
        seed=training.seed,
    )
    if workers is None:
        workers = config.train_dataloader.get('num_workers', 0)
    masks = ChosenMasks(dataset, choice, training.seed)
    crops = embed_crops(masks, clip, classifier, workers=workers)
    is_held_out = torch.from_numpy(choice.is_held_out)[crops.images]
    learned, held_out = crops[~is_held_out], crops[is_held_out]
    fixed = FixedPrompt(task_template=None)
    accuracy = {
        'fixed': crop_accuracy(fixed, clip, held_out, vocabulary),
        'before': crop_accuracy(learner, clip, held_out, vocabulary),
    }
    learn_prompts(learner, clip, learned, vocabulary, training)
    accuracy['after'] = crop_accuracy(learner, clip, held_out, vocabulary)
    with atomic_path(out) as path:
        torch.save(prompt_file(learner, clip, vocabulary), path)
    return PretrainingReport(len(learned), len(held_out), accuracy)


def seen_dataset(config: Config) -> OpenVocabPanopticDataset:
    """Build a config's training data: whole images with their segments.

    Unseen classes are hidden, also for a config of full supervision.

    Raises:
        ValueError: If the config has several datasets, or its pipeline does
            not load segments.
    """
    found = dataset_configs(config, 'train')
    if len(found) != 1:
        raise ValueError(
            f'train_dataloader has {len(found)} datasets; prompts are '
            'learned from one'
        )
    (content,) = found
    types = [step['type'] for step in content['pipeline']]
    if _LOADER not in types:
        raise ValueError(
            f'the training pipeline {types} has no {_LOADER}, by which '
            'segments are read'
        )
    steps = content['pipeline'][: types.index(_LOADER) + 1]
    return build_dataset({**content, 'split': 'seen', 'pipeline': steps})


@dataclass(frozen=True)
class CropChoice:
    """A choice of masks, at most one of each image, task and class.

    Attributes:
        masks: Task and class of the masks by index of their image.
        is_held_out: For each image of the dataset, whether its masks are
            for testing.
    """

    masks: Mapping[int, Sequence[tuple[Task, int]]]
    is_held_out: np.ndarray


def choose_crops(
    dataset: OpenVocabPanopticDataset,
    *,
    per_class: int,
    held_out: float,
    seed: int,
) -> CropChoice:
    """Choose images of each task and class by the annotations.

    No image is both learned from and tested on. Unseen classes, which the
    dataset hides, are not in its records.

    Args:
        dataset: The dataset.
        per_class: Most images to learn a class from, for each task; a
            share of as many more is tested on.
        held_out: Share of the images to test on, 0 to 1.
        seed: Seed of the choice.

    Raises:
        ValueError: If there is nothing left to learn from or to test on.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dataset))
    is_held_out = np.zeros(len(dataset), dtype=bool)
    is_held_out[order[: round(held_out * len(dataset))]] = True
    most = {False: per_class, True: max(1, round(held_out * per_class))}
    counts: dict[tuple[bool, Task, int], int] = defaultdict(int)
    masks = defaultdict(list)
    for index in tqdm(order.tolist(), 'choosing crops', unit='image'):
        segments = dataset.get_data_info(index)['segments']
        apart = bool(is_held_out[index])
        for task, label in _offers(segments, dataset.sample_vocabulary):
            if counts[apart, task, label] < most[apart]:
                counts[apart, task, label] += 1
                masks[index].append((task, label))
    for apart, purpose in ((False, 'learn from'), (True, 'test on')):
        if not any(is_held_out[index] == apart for index in masks):
            raise ValueError(
                f'{dataset.ann_file}: no mask of a seen class is left to '
                f'{purpose}, with held_out={held_out} of {len(dataset)} '
                'images; give more images or another held_out'
            )
    return CropChoice(dict(sorted(masks.items())), is_held_out)


def _offers(
    segments: Sequence[Segment], vocabulary: Vocabulary
) -> Iterator[tuple[Task, int]]:
    """Task and class of the masks that an image has."""
    for task in Task:
        labels = {
            segment['label'] for segment in segments if teaches(segment, task)
        }
        for label in sorted(labels):
            if task is not Task.INSTANCE or vocabulary.is_thing[label]:
                yield task, label


class ChosenMasks(Dataset):
    """Images of a choice with the masks that were chosen of them.

    Args:
        dataset: Images with ``gt_seg_map``, as its pipeline loads them.
        choice: The images, tasks and classes.
        seed: Seed that selects one of several masks of a class.
    """

    def __init__(
        self, dataset: OpenVocabPanopticDataset, choice: CropChoice, seed: int
    ) -> None:
        self._dataset = dataset
        self._chosen = list(choice.masks.items())
        self._seed = seed

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, place: int) -> dict[str, Any]:
        """Load one image.

        Returns:
            ``image``, RGB in [0, 255], (3, H, W), float32; ``masks``, (M,
            H, W), bool; ``labels`` and ``tasks``, (M,); ``index`` of the
            image. A class whose pixels are all hidden has no mask.
        """
        index, chosen = self._chosen[place]
        loaded = self._dataset.prepare_data(index)
        rng = np.random.default_rng((self._seed, index))
        segment_map = torch.from_numpy(loaded['gt_seg_map'])
        masks, labels, tasks = [], [], []
        for number, task in enumerate(Task):
            targets = task_targets(
                segment_map, loaded['segments'], loaded['vocabulary'], task
            )
            for label in (label for of, label in chosen if of is task):
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


@torch.no_grad()
def embed_crops(
    masks: ChosenMasks,
    clip: FrozenCLIP,
    classifier: MaskClassifier,
    *,
    workers: int,
) -> InstanceData:
    """Embed each mask as ``classifier`` does when FreeSeg is tested.

    CLIP is frozen and crops are not varied, so once is enough.

    Args:
        masks: The masks.
        clip: CLIP, on the device to compute on.
        classifier: The view of a mask that CLIP gets.
        workers: Processes that read images; 0 reads in this one.

    Returns:
        K crops on the CPU: ``embeds``, unit-norm, (K, D), float32;
        ``labels``, ``tasks`` (position in :class:`Task`) and ``images``
        (index in the dataset), (K,), int64.
    """
    device = clip.text.device
    loader = DataLoader(masks, batch_size=None, num_workers=workers)
    parts = []
    for item in tqdm(loader, 'showing CLIP masks', unit='image'):
        if not len(item['labels']):
            continue
        logits = torch.where(item['masks'], _INSIDE, _OUTSIDE)
        embeds, valid = classifier(
            clip, item['image'][None].to(device), logits[None].to(device)
        )
        crops = InstanceData(
            embeds=embeds[0].float().cpu(),
            labels=item['labels'],
            tasks=item['tasks'],
            images=torch.full_like(item['labels'], item['index']),
        )
        parts.append(crops[valid[0].cpu()])
    return InstanceData.cat(parts)


def class_weights(labels: Tensor) -> Tensor:
    """Weights by which every class that occurs is drawn equally often.

    Args:
        labels: Class indices of K crops, (K,), int64.

    Returns:
        (K,), float64, with sum 1.
    """
    share = 1 / labels.bincount().double()
    return share[labels] / len(labels.unique())


def learn_prompts(
    learner: PromptLearner,
    clip: FrozenCLIP,
    crops: InstanceData,
    vocabulary: Vocabulary,
    training: PromptTraining,
) -> list[float]:
    """Learn all parameters of a learner; nothing else changes.

    The loss is the cross entropy of CLIP's scaled cosines between a crop
    and the class names, read with the task of the crop.

    Args:
        learner: The prompts, changed in place.
        clip: CLIP; its text tower reads the class names.
        crops: Crops to learn from, see :func:`embed_crops`.
        vocabulary: The classes that the labels of ``crops`` refer to.
        training: Schedule and seed.

    Returns:
        The loss of each step.
    """
    device, tasks = clip.text.device, tuple(Task)
    draw = torch.Generator().manual_seed(training.seed)
    numbers = crops.tasks.unique().tolist()
    pools = {number: crops[crops.tasks == number] for number in numbers}
    weights = {
        number: class_weights(pool.labels) for number, pool in pools.items()
    }
    optimizer = torch.optim.AdamW(
        learner.requires_grad_(True).parameters(),
        lr=training.lr,
        weight_decay=training.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, training.iters
    )
    losses = []
    with trange(training.iters, desc='learning prompts', unit='step') as bar:
        for _ in bar:
            which = torch.randint(len(numbers), (), generator=draw)
            number = numbers[int(which)]
            batch = pools[number][
                torch.multinomial(
                    weights[number],
                    training.batch_size,
                    replacement=True,
                    generator=draw,
                )
            ]
            with full_precision(device):
                text = learner(clip.text, vocabulary, [tasks[number]])[0]
                logits = clip.logit_scale * max_over_synonyms(
                    beside_text(batch.embeds.to(device), text) @ text.T,
                    vocabulary.prompt_to_class,
                )
                loss = F.cross_entropy(logits, batch.labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f'{losses[-1]:.3f}', refresh=False)
    return losses


@torch.no_grad()
def crop_accuracy(
    learner: PromptLearner,
    clip: FrozenCLIP,
    crops: InstanceData,
    vocabulary: Vocabulary,
) -> dict[Task, float]:
    """Measure the mean per-class accuracy of a learner's prompts, percent.

    Args:
        learner: The prompts.
        clip: CLIP.
        crops: Crops to classify, see :func:`embed_crops`.
        vocabulary: The classes to choose from.

    Returns:
        For each task that ``crops`` has, the mean over its classes of the
        share of their crops.
    """
    tasks = tuple(Task)
    text = learner(clip.text, vocabulary, tasks).cpu()
    accuracy = {}
    for number in crops.tasks.unique().tolist():
        part = crops[crops.tasks == number]
        scores = max_over_synonyms(
            beside_text(part.embeds, text) @ text[number].T,
            vocabulary.prompt_to_class,
        )
        is_right = scores.argmax(1) == part.labels
        share = class_weights(part.labels)[is_right].sum()
        accuracy[tasks[number]] = 100 * float(share)
    return accuracy
