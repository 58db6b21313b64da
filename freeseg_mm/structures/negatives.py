"""Train against a part of a vocabulary: what a step's text costs."""

from collections.abc import Iterable

import torch

from .vocabulary import Vocabulary


def with_negatives(
    vocabulary: Vocabulary, labels: Iterable[int], num_negatives: int
) -> tuple[Vocabulary, dict[int, int]]:
    """Keep a batch's classes and a few others, drawn anew each time.

    The draw comes from PyTorch's generator of the CPU.

    Args:
        vocabulary: All classes of the training, C of them.
        labels: Classes that occur in the batch, indices of ``vocabulary``.
        num_negatives: How many of the other classes to keep, at most.

    Returns:
        The smaller vocabulary, order kept, and the place in it of each
        class that occurs.

    Raises:
        ValueError: If ``num_negatives`` is not positive.
    """
    check_num_negatives(num_negatives)
    occurring = set(labels)
    others = [i for i in range(len(vocabulary)) if i not in occurring]
    drawn = torch.randperm(len(others))[:num_negatives].tolist()
    kept = sorted([*occurring, *(others[i] for i in drawn)])
    place = {index: i for i, index in enumerate(kept) if index in occurring}
    return vocabulary.subset(kept, f'{vocabulary.name}/{len(kept)}'), place


def check_num_negatives(num_negatives: int) -> None:
    """Refuse a number with which an unlabelled batch had no class at all.

    Raises:
        ValueError: If it is not positive.
    """
    if num_negatives < 1:
        raise ValueError(
            'expected num_negative_classes >= 1 (or None for all classes), '
            f'got {num_negatives}'
        )
