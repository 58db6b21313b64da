"""One probability from query scores and CLIP scores (Sec. 3.1, Testing)."""

import torch
from torch import Tensor

from freeseg_mm.models.predict_options import ENSEMBLE_MODES


def ensemble_scores(
    query_logits: Tensor,
    clip_logits: Tensor | None,
    is_seen: Tensor,
    *,
    mode: str,
    seen_weight: float,
    unseen_weight: float,
    clip_trust: float = 0.0,
    is_empty: Tensor | None = None,
) -> Tensor:
    """Combine both views of a mask into class probabilities.

    The class distribution is ``query^w * clip^(1 - w)``, renormalised over
    the classes, with ``w`` of the class being seen or unseen; ``arithmetic``
    takes the weighted sum instead, ``query`` and ``clip`` one view alone.
    It is then scaled by the query's probability of being an object, o, or
    with CLIP's trust t by 1 - (1 - o) (1 - t max_c clip_c): objectness that
    was learned on seen classes is low for others (OVRCOAT).

    Args:
        query_logits: (B, T, N, C + 1), no-object last.
        clip_logits: (B, T, N, C), or ``None`` for mode ``query``.
        is_seen: (C,), bool.
        mode: One of :data:`ENSEMBLE_MODES`.
        seen_weight: Weight w of the query on seen classes.
        unseen_weight: Weight w of the query on unseen classes.
        clip_trust: t; of no effect in modes ``query`` and ``released``.
        is_empty: Masks for which CLIP's probability is 1 for every class,
            (B, T, N), bool; ``None`` for none.

    Returns:
        Probabilities, (B, T, N, C); what is missing to 1 is no-object. In
        mode ``released`` and of empty masks, their sum may be over 1.

    Raises:
        ValueError: If ``mode`` is unknown or lacks CLIP's scores.
    """
    if mode not in ENSEMBLE_MODES:
        raise ValueError(f'ensemble mode {mode!r} is none of {ENSEMBLE_MODES}')
    objectness = object_probs(query_logits)[..., None]
    query = query_logits[..., :-1].log_softmax(-1)
    if mode == 'query':
        return query.exp() * objectness
    if clip_logits is None:
        raise ValueError(
            f"ensemble mode {mode!r} needs CLIP's scores; without them set "
            "the mode to 'query'"
        )
    clip = clip_logits.log_softmax(-1)
    if is_empty is not None:
        clip = clip.masked_fill(is_empty[..., None], 0.0)
    weight = torch.where(is_seen, seen_weight, unseen_weight)
    if mode == 'released':
        query = query_logits.log_softmax(-1)[..., :-1]
        return (weight * query + (1 - weight) * clip).exp()
    if clip_trust:
        doubt = 1 - clip_trust * clip.exp().amax(-1, keepdim=True)
        objectness = 1 - (1 - objectness) * doubt
    if mode == 'clip':
        return clip.exp() * objectness
    if mode == 'geometric':
        classes = (weight * query + (1 - weight) * clip).softmax(-1)
    else:
        mixed = weight * query.exp() + (1 - weight) * clip.exp()
        classes = mixed / mixed.sum(-1, keepdim=True)
    return classes * objectness


def object_probs(query_logits: Tensor) -> Tensor:
    """Probability that a query is an object of any class.

    Args:
        query_logits: (..., C + 1), no-object last.

    Returns:
        (...).
    """
    # not 1 - p_no_object, which is zero for all but the likeliest objects
    return query_logits.softmax(-1)[..., :-1].sum(-1)
