"""Prompts learned by naming crops, as CoOp does."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.layers import max_over_synonyms
from freeseg_mm.models.prompts import PromptLearner
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.full_precision import full_precision

from .crops import EmbeddedCrops


@dataclass(frozen=True, kw_only=True)
class PromptTraining:
    """How prompts are learned before the network.

    Attributes:
        iters: Number of steps; each is of one task, drawn evenly.
        batch_size: Crops of a step, each class equally likely.
        lr: AdamW's learning rate at the start; falls as a half cosine.
        weight_decay: AdamW's.
        crops_per_class: Most crops that a class is learned from, for each
            task, each of another image.
        held_out: Share of the images that are for testing alone.
        seed: Of images, masks, crops and the prompts' start.

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


def class_weights(labels: Tensor) -> Tensor:
    """Weights by which every class that occurs is drawn equally often.

    Args:
        labels: Of K crops, (K,), int64.

    Returns:
        (K,), float64, with sum 1.
    """
    share = 1 / labels.bincount().double()
    return share[labels] / len(labels.unique())


def learn_prompts(
    learner: PromptLearner,
    clip: FrozenCLIP,
    crops: EmbeddedCrops,
    vocabulary: Vocabulary,
    training: PromptTraining,
) -> list[float]:
    """Learn all parameters of a learner; nothing else changes.

    The loss is the cross entropy of CLIP's scaled cosines between a crop
    and the names, read with the task of the crop.

    Args:
        learner: The prompts, changed in place.
        clip: CLIP; its text tower reads the names.
        crops: What to learn from.
        vocabulary: The names that the labels of ``crops`` refer to.
        training: Schedule and seed.

    Returns:
        The loss of each step.
    """
    device = clip.text.device
    draw = torch.Generator().manual_seed(training.seed)
    pools = {
        number: (crops.tasks == number).nonzero()[:, 0]
        for number in crops.tasks.unique().tolist()
    }
    weights = {
        number: class_weights(crops.labels[pool])
        for number, pool in pools.items()
    }
    optimizer = torch.optim.AdamW(
        learner.requires_grad_(True).parameters(),
        lr=training.lr,
        weight_decay=training.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, training.iters
    )
    numbers, losses = list(pools), []
    with trange(training.iters, desc='learning prompts', unit='step') as bar:
        for _ in bar:
            number = numbers[
                int(torch.randint(len(numbers), (), generator=draw))
            ]
            places = torch.multinomial(
                weights[number],
                training.batch_size,
                replacement=True,
                generator=draw,
            )
            batch = crops[pools[number][places]]
            with full_precision(device):
                text = learner(clip.text, vocabulary, [list(Task)[number]])[0]
                logits = clip.logit_scale * max_over_synonyms(
                    batch.embeds.to(device) @ text.T,
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
    crops: EmbeddedCrops,
    vocabulary: Vocabulary,
) -> dict[Task, float]:
    """How many crops a learner's prompts name rightly, in percent.

    Args:
        learner: The prompts.
        clip: CLIP.
        crops: What to name.
        vocabulary: The names to choose from.

    Returns:
        For each task that ``crops`` has, the mean over its classes of the
        share of their crops.
    """
    tasks = tuple(Task)
    text = learner(clip.text, vocabulary, tasks).cpu()
    return {
        tasks[number]: _mean_recall(
            crops[crops.tasks == number],
            text[number],
            vocabulary.prompt_to_class,
        )
        for number in crops.tasks.unique().tolist()
    }


def _mean_recall(
    crops: EmbeddedCrops, text: Tensor, prompt_to_class: Sequence[int]
) -> float:
    scores = max_over_synonyms(crops.embeds @ text.T, prompt_to_class)
    is_right = scores.argmax(1) == crops.labels
    return 100 * float(class_weights(crops.labels)[is_right].sum())
