"""Three results of one image from its classified masks, as tensors alone.

Nothing here waits for the device: what a result's length depends on comes
back as a tensor, for the caller to fetch when it is wanted.
"""

from dataclasses import dataclass

import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from torch import Tensor

from freeseg_mm.structures import void_label

PIXEL_BUDGET = 2**21
"""Most (class, pixel) scores held at once: 8 MiB in float32.

About what a core's cache holds: on a CPU larger chunks take longer.
"""


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


def semantic_labels(class_probs: Tensor, mask_logits: Tensor) -> Tensor:
    """Class of each pixel: argmax over the masks' weighted sum.

    Args:
        class_probs: (n, C).
        mask_logits: (n, H, W).

    Returns:
        Class indices, (1, H, W); ``void_label(C)`` where the sum is 0 for
        every class, as without any mask.
    """
    num_classes = class_probs.shape[1]
    labels = []
    for part in mask_logits.flatten(1).split(
        max(1, PIXEL_BUDGET // num_classes), dim=1
    ):
        score, label = (class_probs.T @ part.sigmoid()).max(0)
        labels.append(label.where(score > 0, void_label(num_classes)))
    return torch.cat(labels).view(1, *mask_logits.shape[-2:])


def best_instances(
    class_probs: Tensor,
    mask_logits: Tensor,
    is_thing: Tensor,
    max_per_image: int,
    ranking: str = 'things',
) -> Instances:
    """Best (query, thing class) pairs.

    A score is class probability times the mean mask probability inside the
    mask.

    Args:
        class_probs: (n, C).
        mask_logits: (n, H, W).
        is_thing: (C,), bool.
        max_per_image: Most pairs.
        ranking: ``things`` takes the thing pairs of the highest scores,
            ``all_classes`` what things are among the pairs of the highest
            class probability of all classes.
    """
    masks = mask_logits > 0
    area = masks.flatten(1).sum(1)
    certainty = (mask_logits.sigmoid() * masks).flatten(1).sum(1)
    certainty = certainty / area.clamp(min=1)
    scores = class_probs * certainty[:, None] * is_thing
    if ranking == 'all_classes':
        count = min(max_per_image, scores.numel())
        chosen = class_probs.flatten().topk(count).indices
        is_chosen = torch.zeros_like(scores, dtype=torch.bool).flatten()
        is_chosen[chosen] = True
        scores = scores * is_chosen.view_as(scores)
    count = min(max_per_image, scores.numel())
    top_scores, pairs = scores.flatten().topk(count)
    return Instances(
        scores=top_scores,
        labels=pairs % scores.shape[1],
        masks=masks[pairs // scores.shape[1]],
    )


def panoptic_segments(
    class_probs: Tensor,
    mask_logits: Tensor,
    is_thing: Tensor,
    overlap_thr: float,
    overlap_pixels: str = 'inside',
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
    """
    number, num_classes = class_probs.shape
    if number == 0:
        empty = class_probs.new_zeros(0, dtype=torch.long)
        size = (1, *mask_logits.shape[-2:])
        return PanopticSegments(
            empty.new_full(size, num_classes), empty, empty, empty, empty
        )
    scores, labels = class_probs.max(dim=1)
    inside = mask_logits > 0
    winner = (mask_logits.sigmoid() * scores[:, None, None]).argmax(0)
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

    # the segment of a query is its own, or for stuff the first of its class
    same_stuff = (labels[:, None] == labels) & ~is_thing[labels] & kept
    itself = torch.arange(number, device=labels.device)
    first = torch.where(
        is_thing[labels], itself, same_stuff.int().argmax(dim=1)
    )
    begins = kept & (first == itself)
    offset = max(INSTANCE_OFFSET, num_classes + 1)
    ids = labels + offset * begins.cumsum(0)[first]
    sem_seg = torch.where(is_won & kept[winner], ids[winner], num_classes)
    return PanopticSegments(sem_seg, begins, ids, labels, scores)
