"""One probability from query scores and CLIP scores (Sec. 3.1, Testing)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from freeseg_mm.models.predict_options import ENSEMBLE_MODES, ClassExample
from freeseg_mm.structures import Vocabulary

EPSILON = 1e-6
"""Least difference of logits that others are divided by."""


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


def score_examples(
    logits: Tensor,
    embeds: Tensor,
    is_shown: Tensor,
    vocabulary: Vocabulary,
    examples: Sequence[ClassExample],
    scale: float,
) -> Tensor:
    """Let classes that are known by images score by them in CLIP's view.

    CLIP's embeddings of images are closer to each other, whatever they show,
    than to any text. So where words compete with images, cosines are brought
    to the range of the words' logits, for each image and task: 1 becomes
    the mean over its masks of the best word's logit, and the mean cosine of
    its masks, but for the most similar one, the mean of all words' logits.
    Where all classes are known by images cosines are taken as they are.

    Args:
        logits: CLIP's logits by words, (B, T, N, C).
        embeds: CLIP's unit-norm embeddings of the masks, (B, T or 1, N, D).
        is_shown: Masks that have one, (B, T or 1, N), bool.
        vocabulary: The C classes.
        examples: Of some of them.
        scale: Factor of the cosine in logits.

    Returns:
        (B, T, N, C), the columns of these classes being new.
    """
    places = [vocabulary.index(example.name) for example in examples]
    rows = torch.stack([example.embeds for example in examples])
    weight = logits.new_tensor([x.text_weight for x in examples])
    found = scale * embeds @ rows.to(embeds).T
    found = found.expand(*logits.shape[:-1], -1)
    words = torch.ones(logits.shape[-1], dtype=torch.bool)
    words[places] = False
    if words.any():
        by_words = logits[..., words.to(logits.device)]
        shown = is_shown[..., None].expand(*logits.shape[:-1], 1)
        count = shown.sum(-2, keepdim=True)
        top, low = (
            (each * shown).sum(-2, keepdim=True) / count.clamp(min=1)
            for each in (
                by_words.amax(-1, keepdim=True),
                by_words.mean(-1, keepdim=True),
            )
        )
        most = found.masked_fill(~shown, -scale).amax(-2, keepdim=True)
        others = (found * shown).sum(-2, keepdim=True) - most
        others = others / (count - 1).clamp(min=1)
        slope = (top - low) / (scale - others).clamp(min=EPSILON)
        found = top - slope * (scale - found)
    scored = logits.clone()
    scored[..., places] = weight * logits[..., places] + (1 - weight) * found
    return scored


def object_probs(query_logits: Tensor) -> Tensor:
    """Probability that a query is an object of any class.

    Args:
        query_logits: (..., C + 1), no-object last.

    Returns:
        (...).
    """
    # not 1 - p_no_object, which is zero for all but the likeliest objects
    return query_logits.softmax(-1)[..., :-1].sum(-1)
