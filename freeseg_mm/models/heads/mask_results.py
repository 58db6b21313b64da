"""Three results of one image from its classified masks, as tensors alone.

Nothing here waits for the device: what a result's length depends on comes
back as a tensor, for the caller to fetch when it is wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
import torch.nn.functional as F
from mmdet.evaluation.functional import INSTANCE_OFFSET
from torch import Tensor

from freeseg_mm.structures import void_label

PIXEL_BUDGET = 2**21
"""Most (class, pixel) scores held at once: 8 MiB in float32.

About what a core's cache holds: on a CPU larger chunks take longer.
"""
SHARPNESS = 100.0
"""Factor of class probabilities in a softmax, in the rules as released."""
CERTAIN_LOGIT = 0.5
"""Least mask logit of an instance's certain pixels, as released."""
COVERED_SHARE = 0.8
"""Share of the largest instance's area, in :func:`released_instances`."""

Least: TypeAlias = float | Tensor
"""Threshold of a score, for all classes or for each, (C,)."""


@dataclass
class Instances:
    """The K best instances, best first; a score of 0 is no instance.

    Attributes:
        scores: (K,).
        labels: (K,).
        masks: (K, H, W), bool.
    """

    scores: Tensor
    labels: Tensor
    masks: Tensor


@dataclass
class PanopticSegments:
    """A map of segments, and what is known of each query.

    Attributes:
        sem_seg: Segment id of each pixel, (1, H, W), C for none.
        begins: Queries whose segment is not an earlier one's, (n,), bool.
        ids: Segment id of each query, (n,).
        labels: (n,).
        scores: (n,).
    """

    sem_seg: Tensor
    begins: Tensor
    ids: Tensor
    labels: Tensor
    scores: Tensor


def enlarge_masks(
    mask_logits: Tensor, size: Sequence[int], aligned_corners: bool = False
) -> Tensor:
    """Bring mask logits to another size, bilinearly.

    Args:
        mask_logits: (..., h, w), of at least three dimensions.
        size: (H, W).
        aligned_corners: Whether centres of corner cells fall on centres of
            corner pixels, rather than edges on edges.

    Returns:
        (..., H, W).
    """
    if tuple(mask_logits.shape[-2:]) == tuple(size):
        return mask_logits
    masks = mask_logits.flatten(0, -3)[None]
    masks = F.interpolate(
        masks, tuple(size), mode='bilinear', align_corners=aligned_corners
    )
    return masks[0].unflatten(0, mask_logits.shape[:-2])


def of_classes(least: Least, labels: Tensor) -> Least:
    """Threshold of each label's class."""
    return least[labels] if isinstance(least, Tensor) else least


def semantic_labels(
    class_probs: Tensor,
    mask_logits: Tensor,
    size: Sequence[int] | None = None,
    least: Least = 0.0,
) -> Tensor:
    """Class of each pixel: argmax over the masks' weighted sum.

    Args:
        class_probs: (n, C).
        mask_logits: (n, H, W).
        size: Size (H', W') that the sum is brought to before the argmax;
            ``None`` for that of the masks.
        least: Sum that the best class needs.

    Returns:
        Class indices, (1, H or H', W or W'); ``void_label(C)`` where the
        sum is 0 for every class, as without any mask, or too small.
    """
    num_classes = class_probs.shape[1]
    void = void_label(num_classes)
    own_size = tuple(mask_logits.shape[-2:])
    if size is None or tuple(size) == own_size:
        labels = []
        for part in mask_logits.flatten(1).split(
            max(1, PIXEL_BUDGET // num_classes), dim=1
        ):
            score, label = (class_probs.T @ part.sigmoid()).max(0)
            reached = (score > 0) & (score >= of_classes(least, label))
            labels.append(label.where(reached, void))
        return torch.cat(labels).view(1, *own_size)
    masks = mask_logits.sigmoid().flatten(1)
    best = masks.new_zeros(tuple(size))
    found = torch.zeros_like(best, dtype=torch.long)
    count = max(1, PIXEL_BUDGET // max(masks.shape[1], best.numel()))
    for first in range(0, num_classes, count):
        scores = class_probs[:, first : first + count].T @ masks
        score, label = enlarge_masks(scores.unflatten(1, own_size), size).max(
            0
        )
        found = torch.where(score > best, label + first, found)
        best = torch.maximum(score, best)
    reached = (best > 0) & (best >= of_classes(least, found))
    return found.where(reached, void)[None]


def best_instances(
    class_probs: Tensor,
    mask_logits: Tensor,
    max_per_image: int,
    least: Least = 0.0,
) -> Instances:
    """Best (query, class) pairs.

    A score is class probability times the mean mask probability inside the
    mask.

    Args:
        class_probs: (n, C), 0 of pairs that are no instance.
        mask_logits: (n, H, W).
        max_per_image: Most pairs.
        least: Score that a pair needs.
    """
    masks = mask_logits > 0
    certainty = _certainty(masks, mask_logits)
    scores = class_probs * certainty[:, None]
    scores = scores * (scores >= least)
    count = min(max_per_image, scores.numel())
    top_scores, pairs = scores.flatten().topk(count)
    return Instances(
        scores=top_scores,
        labels=pairs % scores.shape[1],
        masks=masks[pairs // scores.shape[1]],
    )


def _certainty(masks: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean probability of pixels inside of masks, (n,), 0 of empty ones."""
    area = masks.flatten(1).sum(1)
    certainty = (mask_logits.sigmoid() * masks).flatten(1).sum(1)
    return certainty / area.clamp(min=1)


def released_instances(
    class_probs: Tensor,
    mask_logits: Tensor,
    is_thing: Tensor,
    score_thr: Least,
    overlap_thr: float,
    least: Least = 0.0,
    pixel_least: Least = 0.0,
) -> Instances:
    """Instances by the rule of the authors' code, its oddities included.

    A mask has one class: the best by a softmax of 100 times the class
    probabilities, the last class of all excepted. It is an instance if that
    is a thing of a score over ``score_thr`` and more than ``overlap_thr`` of
    its certain pixels (probability 0.62) have that class in the semantic
    result. The largest instance is then dropped if the others, wherever they
    are, cover more than 0.8 of its area.

    Args:
        class_probs: (n, C).
        mask_logits: (n, H, W).
        is_thing: (C,), bool.
        score_thr: Sharpened score that an instance has to exceed.
        overlap_thr: Share of its certain pixels to exceed.
        least: Score that it needs in the end.
        pixel_least: See :func:`semantic_labels`, of the semantic result.

    Returns:
        All n masks, best first, with score 0 those that are none.
    """
    sharp = (SHARPNESS * class_probs).softmax(-1)
    sharp[:, -1] = 0
    scores, labels = sharp.max(1)
    certain, area, share = _agreement(
        mask_logits >= CERTAIN_LOGIT,
        labels,
        class_probs,
        mask_logits,
        pixel_least,
    )[1:]
    kept = is_thing[labels] & (scores > of_classes(score_thr, labels))
    kept &= share > overlap_thr
    sizes = area * kept
    largest = torch.zeros_like(kept)
    if len(kept):
        largest = torch.arange(len(kept), device=kept.device) == sizes.argmax()
    others = (certain & (kept & ~largest)[:, None, None]).any(0).sum()
    kept = kept & ~(largest & (others > COVERED_SHARE * sizes))
    masks = mask_logits > 0
    scores = scores * _certainty(masks, mask_logits) * kept
    scores = scores * (scores >= of_classes(least, labels))
    scores, order = scores.sort(descending=True, stable=True)
    return Instances(scores, labels[order], masks[order])


def _agreement(
    masks: Tensor,
    labels: Tensor,
    class_probs: Tensor,
    mask_logits: Tensor,
    least: Least,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Parts of masks that have their class in the semantic result.

    Args:
        masks: (n, H, W), bool.
        labels: Class of each, (n,).
        class_probs: Of the semantic result, (n, C).
        mask_logits: Of the semantic result, (n, H, W).
        least: See :func:`semantic_labels`.

    Returns:
        The parts and the masks, (n, H, W), the masks' areas, (n,), and the
        share of each that agrees, (n,), 0 of empty masks.
    """
    semantic = semantic_labels(class_probs, mask_logits, least=least)
    agreed = masks & (semantic == labels[:, None, None])
    area = masks.flatten(1).sum(1)
    share = agreed.flatten(1).sum(1) / area.clamp(min=1)
    return agreed, masks, area, share


def panoptic_segments(
    class_probs: Tensor,
    mask_logits: Tensor,
    is_thing: Tensor,
    overlap_thr: float,
    overlap_pixels: str = 'inside',
    least: Least = 0.0,
) -> PanopticSegments:
    """Non-overlapping segments, better masks first.

    Each query claims the pixels where its score times mask probability is
    highest; it keeps its segment if enough of its mask is won. Stuff of one
    class is one segment. Ids are mmdet's ``label + offset * number``.

    Args:
        class_probs: (n, C), the best query first.
        mask_logits: (n, H, W).
        is_thing: (C,), bool.
        overlap_thr: Least share of a mask that has to be won.
        overlap_pixels: Pixels counted as won: those ``inside`` the mask, or
            all that are ``won``, outside of it too.
        least: Score times mask probability that a pixel needs to belong to
            the segment that wins it; what it loses so does not count as
            lost to others.
    """
    number, num_classes = class_probs.shape
    if number == 0:
        return _no_segments(class_probs, mask_logits)
    scores, labels = class_probs.max(dim=1)
    inside = mask_logits > 0
    best, winner = (mask_logits.sigmoid() * scores[:, None, None]).max(0)
    is_won = inside.gather(0, winner[None])  # (1, H, W)
    won_area = torch.zeros_like(labels).scatter_add_(
        0, winner.flatten(), is_won.flatten().to(labels.dtype)
    )
    area = inside.flatten(1).sum(1)
    counted = won_area
    if overlap_pixels == 'won':
        counted = torch.zeros_like(labels).scatter_add_(
            0, winner.flatten(), torch.ones_like(winner).flatten()
        )
    kept = (won_area > 0) & (counted >= overlap_thr * area)
    is_won = is_won & kept[winner]
    if isinstance(least, Tensor) or least > 0:
        is_won = is_won & (best >= of_classes(least, labels[winner]))
        kept = torch.zeros_like(kept).index_fill_(0, winner[is_won[0]], 1)
    begins, ids = _number(kept, labels, is_thing)
    sem_seg = torch.where(is_won, ids[winner], num_classes)
    return PanopticSegments(sem_seg, begins, ids, labels, scores)


def released_panoptic(
    class_probs: Tensor,
    mask_logits: Tensor,
    is_thing: Tensor,
    score_thr: Least,
    overlap_thr: float,
    least: Least = 0.0,
) -> PanopticSegments:
    """Segments by the rule of the authors' code.

    The class of a mask is the best by a softmax of 100 times the class
    probabilities, its region the part of it that has that class in the
    semantic result. A mask is kept if its region is at least ``overlap_thr``
    of it and the class is stuff or scores ``score_thr`` or more; regions are
    painted in the order of the masks, the last on top.

    Args:
        class_probs: (n, C), in the order of the queries.
        mask_logits: (n, H, W).
        is_thing: (C,), bool.
        score_thr: Least sharpened score of a thing.
        overlap_thr: Least share of a mask that is its region.
        least: See :func:`semantic_labels`, of the semantic result.
    """
    number, num_classes = class_probs.shape
    if number == 0:
        return _no_segments(class_probs, mask_logits)
    scores, labels = (SHARPNESS * class_probs).softmax(-1).max(1)
    regions, _, _, share = _agreement(
        mask_logits >= 0, labels, class_probs, mask_logits, least
    )
    kept = (share > 0) & (share >= overlap_thr)
    kept &= ~is_thing[labels] | (scores >= of_classes(score_thr, labels))
    painted = regions & kept[:, None, None]
    last = number - 1 - painted.flip(0).to(torch.uint8).argmax(0)
    begins, ids = _number(kept, labels, is_thing)
    sem_seg = torch.where(painted.any(0), ids[last], num_classes)[None]
    begins &= torch.isin(ids, sem_seg)
    return PanopticSegments(sem_seg, begins, ids, labels, scores)


def _no_segments(class_probs: Tensor, mask_logits: Tensor) -> PanopticSegments:
    empty = class_probs.new_zeros(0, dtype=torch.long)
    size = (1, *mask_logits.shape[-2:])
    sem_seg = empty.new_full(size, class_probs.shape[1])
    return PanopticSegments(sem_seg, empty, empty, empty, empty)


def id_offset(num_classes: int) -> int:
    """Factor of a segment's number in its id; mmdet's, or a larger one."""
    return max(INSTANCE_OFFSET, num_classes + 1)


def _number(
    kept: Tensor, labels: Tensor, is_thing: Tensor
) -> tuple[Tensor, Tensor]:
    """Number segments: that of a query is its own, or its stuff class's.

    Args:
        kept: Queries that have a segment, (n,), bool.
        labels: (n,).
        is_thing: (C,), bool.

    Returns:
        Queries whose segment is not an earlier one's, (n,), bool; and ids,
        (n,).
    """
    same_stuff = (labels[:, None] == labels) & ~is_thing[labels] & kept
    itself = torch.arange(len(labels), device=labels.device)
    first = torch.where(
        is_thing[labels], itself, same_stuff.int().argmax(dim=1)
    )
    begins = kept & (first == itself)
    offset = id_offset(len(is_thing))
    return begins, labels + offset * begins.cumsum(0)[first]


def resize_results(
    result: Tensor | Instances | PanopticSegments, size: Sequence[int]
) -> Tensor | Instances | PanopticSegments:
    """Bring finished results to another size, by the nearest pixel.

    What loses its last pixel is dropped; instances are sorted anew.

    Args:
        result: Of masks (..., H, W).
        size: (H', W').
    """
    if isinstance(result, Instances):
        masks = _nearest(result.masks, size)
        scores = result.scores * masks.flatten(1).any(1)
        scores, order = scores.sort(descending=True, stable=True)
        return Instances(scores, result.labels[order], masks[order])
    if isinstance(result, PanopticSegments):
        sem_seg = _nearest(result.sem_seg, size)
        begins = result.begins & torch.isin(result.ids, sem_seg)
        return replace(result, sem_seg=sem_seg, begins=begins)
    return _nearest(result, size)


def _nearest(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest pixels of (n, H, W) maps, (n, *size)."""
    height, width = maps.shape[-2:]
    rows, columns = (
        ((torch.arange(new, device=maps.device) + 0.5) * old / new).long()
        for new, old in zip(size, (height, width), strict=True)
    )
    return maps[:, rows[:, None], columns]
