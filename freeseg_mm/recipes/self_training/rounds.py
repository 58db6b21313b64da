"""Train, label, train again: rounds of self-training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from .labelling import Labelling
from .settings import PseudoLabelSettings
from .training import Training

STARTS = ('scratch', 'last')


@dataclass(frozen=True)
class SelfTraining:
    """Rounds of predicting the unseen classes and training with them.

    Every step leaves its files below the work folder and is done once: the
    same call after a kill goes on where it stopped, to the same weights.

    Attributes:
        config: The run's config, without pseudo labels.
        work_dir: Gets ``round_0`` (the first training), ``round_1``, ...,
            each with ``pseudo_labels`` and ``train``.
        rounds: How many times to train with pseudo labels.
        refresh: Whether each round predicts anew with the weights of the
            one before; otherwise all learn what the first weights say.
        start: Where a round's training starts: ``scratch``, as the config
            says, or ``last``, the weights of the round before.
        checkpoint: The first weights, in place of ``round_0``.
        settings: The thresholds.
        num_workers: Processes that read images to predict on.
        device: To predict on; default CUDA if there is one.

    Raises:
        ValueError: If there is no round, an unknown start, or a second
            round that could only repeat the first.
    """

    config: Config
    work_dir: Path
    rounds: int = 1
    refresh: bool = True
    start: str = 'scratch'
    checkpoint: Path | None = None
    settings: PseudoLabelSettings = PseudoLabelSettings()
    num_workers: int = 1
    device: str | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f'rounds: expected 1 or more, got {self.rounds}')
        if self.start not in STARTS:
            raise ValueError(f'start {self.start!r} is none of {STARTS}')
        if self.rounds > 1 and not self.refresh and self.start == 'scratch':
            raise ValueError(
                f'{self.rounds} rounds from scratch on the same labels would '
                'give the same weights each time; refresh the labels, or '
                'start from the last weights'
            )

    def run(self) -> Iterator[Path]:
        """Go through the rounds.

        Yields:
            The weights after each training, as soon as they are there, or
            the given first ones.

        Raises:
            FileNotFoundError: If data or weights are missing.
            FileExistsError: If the work folder holds other results.
            ValueError: If the config cannot be self-trained.
        """
        if self.checkpoint is None:
            weights = self._training(0).run()
        else:
            weights = self.checkpoint
        first = weights
        yield weights
        for number in range(1, self.rounds + 1):
            labels = self._labels(number if self.refresh else 1)
            Labelling(
                self.config,
                weights if self.refresh else first,
                labels,
                self.settings,
                num_workers=self.num_workers,
                device=self.device,
            ).run()
            weights = self._training(
                number,
                labels=labels,
                start=weights if self.start == 'last' else None,
            ).run()
            yield weights

    def _labels(self, number: int) -> Path:
        return self.work_dir / f'round_{number}' / 'pseudo_labels'

    def _training(
        self,
        number: int,
        labels: Path | None = None,
        start: Path | None = None,
    ) -> Training:
        return Training(
            self.config,
            self.work_dir / f'round_{number}' / 'train',
            name=f'{self.work_dir.name}_round_{number}',
            labels=labels,
            start=start,
        )
