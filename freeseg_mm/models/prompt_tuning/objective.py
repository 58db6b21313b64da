"""The mathematics of test-time prompt tuning (Sec. 3.4), as functions.

Scores are probabilities, entropies are in nats. S stands for any leading
dimensions of samples: images, tasks, queries.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def unseen_log_scores(logits: Tensor, unseen: Tensor, columns: str) -> Tensor:
    """Logarithms of the scores S_u of the unseen classes.

    The paper "filters out" the scores of unseen classes; entropy wants
    probabilities, which is where the two ways of ``columns`` part.

    Args:
        logits: Class logits, (S, C) or (S, C + 1) with no-object last.
        unseen: Indices of the unseen classes, (N_u,), at least one.
        columns: ``unseen``: a softmax over these alone; ``all``: over all
            columns, of which these are taken, so that they sum to less
            than 1.

    Returns:
        log s, (S, N_u).
    """
    if columns == 'unseen':
        return logits.index_select(-1, unseen).log_softmax(-1)
    return logits.log_softmax(-1).index_select(-1, unseen)


def query_entropy(log_scores: Tensor) -> Tensor:
    """Entropy of each sample, -1/N_u sum_i s_i log(s_i) (Eq. 10).

    Args:
        log_scores: log s, (S, N_u).

    Returns:
        In nats, at least 0, (S); of even scores that sum to 1 it is
        ln(N_u) / N_u.
    """
    return -(log_scores.exp() * log_scores).mean(-1)


def is_confident(log_scores: Tensor, threshold: float) -> Tensor:
    """Which samples have a low entropy: entro < tau.

    Args:
        log_scores: log s, (S, N_u).
        threshold: tau as a fraction of ln(N_u) / N_u. With one class that
            is 0, and no sample is confident: nothing could be sharper.

    Returns:
        (S), bool.
    """
    num_unseen = log_scores.shape[-1]
    bound = math.log(num_unseen) / num_unseen
    return query_entropy(log_scores) < threshold * bound


def entropy_loss(log_scores: Tensor) -> Tensor:
    """L_ent, the mean entropy of K confident samples (Eq. 11).

    Args:
        log_scores: log s of the confident samples, (K, N_u), K at least 1.

    Returns:
        -1/(N_u K) sum_i sum_j s_ij log(s_ij), a scalar.
    """
    return query_entropy(log_scores).mean()


def entropy_step(
    log_scores: Callable[[], Tensor], optimizer: torch.optim.Optimizer
) -> Tensor:
    """One step down L_ent.

    Args:
        log_scores: Computes log s of the confident samples, (K, N_u), from
            the parameters of the optimizer.
        optimizer: Of what is tuned. No other parameter gets a gradient.

    Returns:
        L_ent before the step, a scalar without gradient.
    """
    optimizer.zero_grad()
    loss = entropy_loss(log_scores())
    loss.backward(
        inputs=[p for group in optimizer.param_groups for p in group['params']]
    )
    optimizer.step()
    return loss.detach()
