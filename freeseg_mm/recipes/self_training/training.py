"""One training of a self-training, which a kill only interrupts."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.recipes.resume import file_digest
from freeseg_mm.utils.files import read_json, write_json

EXACT_RESUME = {'type': 'freeseg_mm.ExactResumeHook'}


@dataclass(frozen=True)
class Training:
    """A training by a config, with or without pseudo labels.

    Attributes:
        config: The run's config; it is not changed.
        folder: Work folder of this training alone.
        name: What mmengine calls it; no other training of this process may
            have the same.
        labels: Folder of the pseudo labels.
        start: Weights to start from; ``None`` starts as the config says.
    """

    config: Config
    folder: Path
    name: str
    labels: Path | None = None
    start: Path | None = None

    @property
    def weights(self) -> Path:
        """The weights after the last iteration."""
        return self.folder / f'iter_{self.config.train_cfg.max_iters}.pth'

    def run(self) -> Path:
        """Train, or go on, unless it is done.

        Returns:
            The weights.

        Raises:
            FileExistsError: If the folder holds a training of other inputs.
            ValueError: If the config trains otherwise than by iterations on
                one data set with hidden classes.
        """
        _check(self.config)
        self._claim_folder()
        newest = next(self._whole_checkpoints(), None)
        if newest != self.weights:
            Runner.from_cfg(self._run_config(newest)).train()
        return self.weights

    def _claim_folder(self) -> None:
        """Note what is trained here, before anything else is."""
        note = self.folder / 'inputs.json'
        inputs = self._inputs()
        if note.is_file():
            if read_json(note) == inputs:
                return
            raise FileExistsError(
                f'{self.folder} holds a training of another config, start or '
                'pseudo labels; delete it or name another work folder'
            )
        if any(self.folder.glob('*.pth')):
            raise FileExistsError(
                f'{self.folder} holds weights of unknown origin; delete them '
                'or name another work folder'
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(inputs, note)

    def _inputs(self) -> dict[str, Any]:
        """All that decides the weights, as JSON gives it back."""
        labels = PseudoLabelFiles(self.labels).json if self.labels else None
        inputs = {
            'config': {
                key: value
                for key, value in self.config.to_dict().items()
                if key != 'work_dir'
            },
            'labels': labels and file_digest(labels),
            'start': self.start and file_digest(self.start),
        }
        return json.loads(json.dumps(inputs, default=str))

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

    def _run_config(self, newest: Path | None) -> Config:
        config = deepcopy(self.config)
        config.work_dir = str(self.folder)
        config.experiment_name = self.name
        if config.get('visualizer'):
            # mmengine hands out the same one for the same name
            config.visualizer.name = self.name
        config.default_hooks.checkpoint.save_last = True
        if EXACT_RESUME not in (config.get('custom_hooks') or []):
            config.custom_hooks = [
                *(config.get('custom_hooks') or []),
                EXACT_RESUME,
            ]
        if self.labels is not None:
            config.train_dataloader.dataset.pseudo_labels = str(self.labels)
        config.resume = newest is not None
        if newest is not None:
            config.load_from = str(newest)
        elif self.start is not None:
            config.load_from = str(self.start)
        return config


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
