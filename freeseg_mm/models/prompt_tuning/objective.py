"""The mathematics of test-time prompt tuning (Sec. 3.4), as functions.

Scores are probabilities, entropies are in nats. S stands for any leading
dimensions of samples: images, tasks, queries.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


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


SOURCES = ('query', 'clip', 'both')
COLUMNS = ('unseen', 'all')
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    'Adam': torch.optim.Adam,
    'SGD': torch.optim.SGD,
}


@dataclass(frozen=True, kw_only=True)
class PromptTuning:
    """Settings of test-time prompt tuning (Sec. 3.4).

    ``docs/reproduction.md`` says what the paper leaves open.

    Attributes:
        steps: Steps on each batch; 0 switches tuning off.
        learning_rate: Of the optimizer.
        optimizer: ``Adam`` or ``SGD``, both plain.
        threshold: tau, as a fraction of the entropy (Eq. 10) of even
            scores, ln(N_u) / N_u; a query below it is confident.
        columns: What a query's scores sum to 1 over: the ``unseen``
            classes, or ``all`` of them with no-object, of which the unseen
            ones are taken.
        unseen_first: Whether a confident query's best class of all must be
            an unseen one.
        source: Whose scores are made sharper: those of the ``query``
            features, of ``clip``'s view of each mask, or ``both``.
        rerun: Whether interaction and decoder run again with the tuned
            prompt, so that masks change too; or queries are only scored
            again, which costs little.
        online: Whether a batch begins with the prompt and the optimizer
            that the last one left, so that the order of the images
            matters, or (episodic) with the trained prompt.

    Raises:
        ValueError: If a value is unknown or out of range.
    """

    steps: int = 1
    learning_rate: float = 3e-3
    optimizer: str = 'Adam'
    threshold: float = 0.5
    columns: str = 'unseen'
    unseen_first: bool = True
    source: str = 'query'
    rerun: bool = False
    online: bool = False

    def __post_init__(self) -> None:
        for name, known in (
            ('optimizer', tuple(OPTIMIZERS)),
            ('columns', COLUMNS),
            ('source', SOURCES),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(
                    f'prompt_tuning.{name}={value!r} is none of {known}'
                )
        for name, fits, expected in (
            ('steps', self.steps >= 0, 'at least 0'),
            ('learning_rate', self.learning_rate > 0, 'more than 0'),
            ('threshold', 0 < self.threshold <= 1, 'in (0, 1]'),
        ):
            if not fits:
                raise ValueError(
                    f'prompt_tuning.{name}={getattr(self, name)}: expected '
                    f'{expected}'
                )

    def make_optimizer(self, prompt: nn.Parameter) -> torch.optim.Optimizer:
        """The optimizer of one prompt."""
        build: type = OPTIMIZERS[self.optimizer]
        return build([prompt], lr=self.learning_rate)
