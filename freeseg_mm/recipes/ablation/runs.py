"""Train and test configs, each only as far as it is not done yet."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from freeseg_mm.analysis.paper_tables.result_files import Result, read_results
from freeseg_mm.recipes.processes import Slot, run_on_slots
from freeseg_mm.recipes.run_stamp import RunStamp, StampState

from .rows import AblationRow, read_row

_LABEL = (sys.executable, '-m', 'freeseg_mm.cli', 'pseudo-labels', 'make')


@dataclass(frozen=True)
class Runs:
    """All runs of an ablation, and where they are kept.

    ``FOLDER/ROW/seed_N/train`` is the work dir of a training,
    ``FOLDER/ROW/seed_N/test`` that of a test and ``result.json`` beside it
    what the test gave.

    Attributes:
        folder: The work dir of all.
        tools: Folder of ``train.py`` and ``test.py``.
        options: Entries overridden in all configs.
        say: Function that is called with a line for each run that is done.
        label: Start of the command that makes pseudo labels.
    """

    folder: Path
    tools: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print
    label: Sequence[str] = _LABEL

    def complete(
        self,
        rows: Sequence[AblationRow],
        seeds: Sequence[int],
        slots: Sequence[Slot],
    ) -> list[str]:
        """Run whatever is missing; the first seed of all rows comes first.

        Rows of the same weights share a training; one with a teacher follows
        that one's training, with pseudo labels by its weights. A run that was
        interrupted goes on from its last checkpoint, a test whose settings
        changed is done again.

        Args:
            rows: The rows to train and test.
            seeds: Seeds of the trainings.
            slots: Shares of the machine, for a run at a time each.

        Returns:
            What failed, a sentence each; the other runs are done.

        Raises:
            ValueError: If the folder holds a training of other settings.
        """
        families = self._families(rows)
        for family in families:
            for trained in family:
                for seed in seeds:
                    self._check_training(trained, seed)
        jobs = [
            partial(self._run_family, family, rows, seed)
            for seed in seeds
            for family in families
        ]
        return run_on_slots(jobs, slots, self.say)

    def result(self, row: AblationRow, seed: int) -> Result | None:
        """Read a test's result; ``None`` unless of the config as it is."""
        stamp, inputs = self._test_stamp(row, seed)
        if stamp.state(inputs) is not StampState.FINISHED:
            return None
        return read_results(stamp.outputs[0])[0]

    def _families(
        self, rows: Sequence[AblationRow]
    ) -> list[list[AblationRow]]:
        """Trainings that need no other, each with those that need it."""
        trained: dict[Path, AblationRow] = {}
        for row in rows:
            if row.weights not in trained:
                trained[row.weights] = read_row(row.weights, self.options)
        families: dict[Path, list[AblationRow]] = {}
        for row in trained.values():
            first = row.teacher or row.config
            if first not in families:
                families[first] = [read_row(first, self.options)]
            if row.teacher:
                families[first].append(row)
        return list(families.values())

    def _run_family(
        self,
        family: Sequence[AblationRow],
        rows: Sequence[AblationRow],
        seed: int,
        slot: Slot,
    ) -> None:
        for trained in family:
            stamp, inputs = self._training_stamp(trained, seed)
            train = partial(self._train, trained, family[0], seed, slot)
            stamp.run(inputs, train)
            for row in rows:
                if row.weights == trained.config:
                    self._test(row, stamp.outputs[0], seed, slot)

    def _place(self, row: AblationRow, seed: int) -> Path:
        return self.folder / row.name / f'seed_{seed}'

    def _training_stamp(
        self, row: AblationRow, seed: int
    ) -> tuple[RunStamp, dict[str, Any]]:
        place = self._place(row, seed)
        weights = place / 'train' / f'iter_{row.max_iters}.pth'
        partial_weights = (place / 'train').glob('iter_*.pth')
        return RunStamp(place / '.train.json', [weights], partial_weights), {
            'settings': row.training,
            'teacher': row.teacher and row.teacher.stem,
            'seed': seed,
        }

    def _test_stamp(
        self, row: AblationRow, seed: int
    ) -> tuple[RunStamp, dict[str, Any]]:
        place = self._place(row, seed)
        return RunStamp(place / '.test.json', [place / 'result.json']), {
            'settings': row.test,
            'weights': row.weights.stem,
            'seed': seed,
        }

    def _check_training(self, row: AblationRow, seed: int) -> None:
        stamp, inputs = self._training_stamp(row, seed)
        if stamp.state(inputs) in (StampState.FOREIGN, StampState.OTHER):
            raise ValueError(
                f'{self._place(row, seed)}/train holds a training of other '
                f'settings than {row.config} has now, or of unknown ones; '
                'move it away, or choose another --work-dir'
            )

    def _train(
        self, row: AblationRow, teacher: AblationRow, seed: int, slot: Slot
    ) -> None:
        place = self._place(row, seed)
        own: dict[str, Any] = {
            'randomness.seed': seed,
            'train_cfg.val_interval': row.max_iters + 1,
        }
        if row.teacher:
            labels = place / 'pseudo_labels'
            weights = self._training_stamp(teacher, seed)[0].outputs[0]
            self._run(
                *(row, seed, slot, 'pseudo_labels'),
                [*self.label, str(teacher.config), str(weights)],
                ['--out', labels, *_option_arguments(self.options)],
            )
            own['train_dataloader.dataset.pseudo_labels'] = labels
        options = _option_arguments({**own, **self.options})
        self._run(
            *(row, seed, slot, 'train'),
            self._start('train', slot, row.config),
            ['--work-dir', place / 'train', '--resume', *options],
        )

    def _test(
        self, row: AblationRow, weights: Path, seed: int, slot: Slot
    ) -> None:
        place = self._place(row, seed)
        stamp, inputs = self._test_stamp(row, seed)
        arguments: list[str | Path] = [
            *('--work-dir', place / 'test', '--out', stamp.outputs[0]),
            *_option_arguments(self.options),
        ]
        stamp.run(
            inputs,
            lambda: self._run(
                *(row, seed, slot, 'test'),
                self._start('test', slot, row.config, weights),
                arguments,
            ),
        )

    def _start(
        self, tool: str, slot: Slot, *subject: Path
    ) -> list[str | Path]:
        """Start of ``TOOL.py``, or of ``dist_TOOL.sh`` on several devices."""
        if slot.devices > 1:
            script = self.tools / f'dist_{tool}.sh'
            return ['bash', script, *subject, str(slot.devices)]
        return [sys.executable, self.tools / f'{tool}.py', *subject]

    def _run(
        self,
        row: AblationRow,
        seed: int,
        slot: Slot,
        step: str,
        start: Sequence[str | Path],
        arguments: Sequence[str | Path],
    ) -> None:
        """Run a command; its output goes to ``STEP.log``."""
        began = perf_counter()
        slot.run(
            f'{row.name}, seed {seed}: {step}',
            [*map(str, start), *map(str, arguments)],
            self._place(row, seed) / f'{step}.log',
        )
        seconds = perf_counter() - began
        self.say(f'{row.name}, seed {seed}: {step} done ({seconds:.0f} s)')


def _option_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options of configs as the tools take them."""
    pairs = [f'{key}={_text(value)}' for key, value in options.items()]
    return ['--cfg-options', *pairs] if pairs else []


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f'[{",".join(map(_text, value))}]'
    return str(value)
