"""Train, label, train again: rounds of self-training."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from freeseg_mm.datasets.pseudo_labels import (
    PseudoLabelFiles,
    PseudoLabelSettings,
)
from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.recipes.processes import Slot
from freeseg_mm.utils.files import PACKAGE_FILES, write_text
from freeseg_mm.utils.journal import RunStamp, StampState, file_digest

from .labelling import Labelling

STARTS = ('scratch', 'last')
EXACT_RESUME = {'type': 'freeseg_mm.ExactResumeHook'}


@dataclass(frozen=True)
class SelfTraining:
    """Rounds of predicting the unseen classes and training with them.

    Every step leaves its files below the work folder and is done once: the
    same call after a kill goes on where it stopped, to the same weights.

    Attributes:
        config: The run's config, without pseudo labels.
        work_dir: Gets ``round_0`` (the first training), ``round_1``, ...,
            each with ``pseudo_labels`` and ``train``.
        rounds: Number of trainings with pseudo labels.
        refresh: Whether each round predicts anew with the weights of the
            one before; otherwise all learn what the first weights predict.
        start: Start of a round's training: ``scratch``, as the config
            says, or ``last``, the weights of the round before.
        checkpoint: The first weights, in place of ``round_0``.
        settings: The thresholds.
        num_workers: Processes that read images to predict on.
        device: To predict on; default CUDA if there is one.
        gpus: Processes of each training, and of each prediction; each on a
            GPU, or on the CPU where there is none.

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
    gpus: int = 1

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
        weights = self.checkpoint or self._train(0)
        first = weights
        yield weights
        for number in range(1, self.rounds + 1):
            made_in = number if self.refresh else 1
            labels = self.work_dir / f'round_{made_in}' / 'pseudo_labels'
            Labelling(
                self.config,
                weights if self.refresh else first,
                labels,
                self.settings,
                num_workers=self.num_workers,
                device=self.device,
                gpus=self.gpus,
            ).run()
            start = weights if self.start == 'last' else None
            weights = self._train(number, labels, start)
            yield weights

    def _train(
        self,
        number: int,
        labels: Path | None = None,
        start: Path | None = None,
    ) -> Path:
        return Training(
            self.config,
            self.work_dir / f'round_{number}' / 'train',
            name=f'{self.work_dir.name}_round_{number}',
            labels=labels,
            start=start,
            gpus=self.gpus,
        ).run()


@dataclass(frozen=True)
class Training:
    """A training by a config, with or without pseudo labels.

    Attributes:
        config: The run's config; it is not changed.
        folder: Work folder of this training alone.
        name: Name of mmengine's runner; no other training of this process
            may have the same.
        labels: Folder of the pseudo labels.
        start: Weights to start from; ``None`` starts as the config says.
        gpus: Processes; one is this one, several are those of
            ``tools/dist_train.sh``.
    """

    config: Config
    folder: Path
    name: str
    labels: Path | None = None
    start: Path | None = None
    gpus: int = 1

    @property
    def weights(self) -> Path:
        """The weights after the last iteration."""
        return self.folder / f'iter_{self.config.train_cfg.max_iters}.pth'

    def run(self) -> Path:
        """Train, or go on after a kill, unless it is done.

        Returns:
            The weights.

        Raises:
            FileExistsError: If the folder holds a training of other inputs.
            ValueError: If the config trains otherwise than by iterations on
                one dataset with hidden classes.
        """
        _check(self.config)
        content = self.config.to_dict()
        content.pop('work_dir', None)
        labels = self.labels and PseudoLabelFiles(self.labels).json
        inputs = {
            'config': content,
            'labels': labels and file_digest(labels),
            'start': self.start and file_digest(self.start),
        }
        stamp = RunStamp(
            self.folder / 'inputs.json',
            inputs,
            [self.weights],
            self.folder.glob('*.pth'),
        )
        if stamp.state() is StampState.OTHER:
            raise FileExistsError(
                f'{self.folder} holds a training of another config, start or '
                'pseudo labels, or weights of unknown origin; delete it or '
                'name another work folder'
            )
        stamp.run(self._train)
        return self.weights

    def _train(self) -> None:
        newest = next(self._whole_checkpoints(), None)
        if newest == self.weights:
            return
        config = deepcopy(self.config)
        config.work_dir = str(self.folder)
        config.experiment_name = self.name
        if config.get('visualizer'):
            # mmengine hands out the same one for the same name
            config.visualizer.name = self.name
        config.default_hooks.checkpoint.save_last = True
        hooks = config.get('custom_hooks') or []
        if EXACT_RESUME not in hooks:
            config.custom_hooks = [*hooks, EXACT_RESUME]
        if self.labels is not None:
            config.train_dataloader.dataset.pseudo_labels = str(self.labels)
        config.resume = newest is not None
        load_from = newest or self.start
        if load_from is not None:
            config.load_from = str(load_from)
        if self.gpus == 1:
            Runner.from_cfg(config).train()
            return
        file = self.folder / 'config.py'
        write_text(config.pretty_text, file)
        script = PACKAGE_FILES / 'tools/dist_train.sh'
        Slot().run(
            self.name,
            [*map(str, ('bash', script, file, self.gpus))],
            self.folder / 'train.log',
            max_iters=config.train_cfg.max_iters,
        )

    def _whole_checkpoints(self) -> Iterator[Path]:
        """Checkpoints that no kill has cut short, the newest first.

        mmengine writes them in place, so that a file may be there in part.
        """
        found = {
            int(path.stem.removeprefix('iter_')): path
            for path in self.folder.glob('iter_*.pth')
        }
        for number in sorted(found, reverse=True):
            try:
                WeightsInfo.read(found[number])
            except ValueError:
                continue
            yield found[number]


def _check(config: Config) -> None:
    if 'max_iters' not in (config.get('train_cfg') or {}):
        raise ValueError(
            'self-training needs a config with train_cfg.max_iters: '
            'trainings by epochs are not supported'
        )
    dataset = config.train_dataloader.dataset
    if dataset.get('split') != 'seen':
        raise ValueError(
            'self-training needs train_dataloader.dataset to be one '
            "OpenVocabPanopticDataset with split='seen', got type "
            f'{dataset.get("type")!r} with split={dataset.get("split")!r}'
        )
    if dataset.get('pseudo_labels') is not None:
        raise ValueError(
            f'the config trains with pseudo_labels='
            f'{dataset.pseudo_labels!r} already; give the config of the '
            'first training'
        )
