"""The mathematics of test-time prompt tuning (Sec. 3.4), as functions.

Scores are probabilities, entropies are in nats. S stands for any leading
dimensions of samples: images, tasks, queries.
"""

import math
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from freeseg_mm.utils.errors import is_number

SOURCES = ('query', 'clip', 'both')


@dataclass(frozen=True, kw_only=True)
class PromptTuning:
    """Settings of test-time prompt tuning (Sec. 3.4).

    ``docs/reproduction.md`` says what the paper leaves open.

    Attributes:
        steps: Steps of Adam on each batch; 0 switches tuning off.
        learning_rate: Of the steps.
        threshold: tau, as a fraction of the entropy (Eq. 10) of even
            scores, ln(N_u) / N_u; a query below it is confident.
        unseen_first: Whether a confident query's best class of all must be
            an unseen one.
        source: Scores that are made sharper: those of the ``query``
            features, of ``clip``'s view of each mask, or ``both``.
        online: Whether a batch begins with the prompt and the optimizer
            that the last one left, so that the order of the images
            matters, or (episodic) with the trained prompt.

    Raises:
        ValueError: If a value is unknown or out of range.
    """

    steps: int = 1
    learning_rate: float = 3e-3
    threshold: float = 0.5
    unseen_first: bool = True
    source: str = 'query'
    online: bool = False

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ('source', self.source in SOURCES, f'one of {SOURCES}'),
            (
                'steps',
                isinstance(self.steps, Integral)
                and not isinstance(self.steps, bool)
                and self.steps >= 0,
                'at least 0, a whole number',
            ),
            (
                'learning_rate',
                is_number(self.learning_rate) and self.learning_rate > 0,
                'more than 0, a number',
            ),
            (
                'threshold',
                is_number(self.threshold) and 0 < self.threshold <= 1,
                'a number in (0, 1]',
            ),
        ):
            if not fits:
                raise ValueError(
                    f'prompt_tuning.{name}={getattr(self, name)!r}: expected '
                    f'{expected}'
                )


def unseen_log_scores(logits: Tensor, unseen: Tensor) -> Tensor:
    """Logarithms of the scores S_u of the unseen classes.

    The paper "filters out" the scores of unseen classes; entropy wants
    probabilities, so these are a softmax over the unseen classes alone.

    Args:
        logits: Class logits, (S, C) or (S, C + 1) with no-object last.
        unseen: Indices of the unseen classes, (N_u,), at least one.

    Returns:
        log s, (S, N_u).
    """
    return logits.index_select(-1, unseen).log_softmax(-1)


def query_entropy(log_scores: Tensor) -> Tensor:
    """Entropy of each sample, -1/N_u sum_i s_i log(s_i) (Eq. 10).

    Args:
        log_scores: log s, (S, N_u).

    Returns:
        In nats, at least 0, (S); of even scores it is ln(N_u) / N_u.
    """
    return -(log_scores.exp() * log_scores).mean(-1)


def is_confident(log_scores: Tensor, threshold: float) -> Tensor:
    """Mark samples of low entropy: entro < tau.

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
    log_scores: Tensor, optimizer: torch.optim.Optimizer
) -> Tensor:
    """Take one step down L_ent.

    Args:
        log_scores: log s of the confident samples, (K, N_u), computed from
            the parameters of the optimizer.
        optimizer: Of what is tuned. No other parameter gets a gradient.

    Returns:
        L_ent before the step, a scalar without gradient.
    """
    optimizer.zero_grad()
    loss = entropy_loss(log_scores)
    loss.backward(
        inputs=[p for group in optimizer.param_groups for p in group['params']]
    )
    optimizer.step()
    return loss.detach()
