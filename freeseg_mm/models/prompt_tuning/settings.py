"""How test-time prompt tuning is done, where the paper leaves it open."""

from dataclasses import dataclass

import torch
from torch import nn

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
