"""Train and test configs, each only as far as it is not done yet."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from mmengine.config import Config

from freeseg_mm.evaluation.report.result_files import Result, read_results

from .rows import AblationRow, read_row, run_digests
from .slots import Slot

_SHOWN = 5


class TrainingFailedError(RuntimeError):
    """A run ended with an error; the message names its log."""


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
        say: Is told in a line what has been done.
    """

    folder: Path
    tools: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print

    def complete(
        self,
        rows: Sequence[AblationRow],
        seeds: Sequence[int],
        slots: Sequence[Slot],
    ) -> list[str]:
        """Run whatever is missing; the first seed of all rows comes first.

        Rows of the same weights share a training. A run that was
        interrupted goes on from its last checkpoint, a test whose settings
        changed is done again.

        Args:
            rows: What to train and test.
            seeds: Of the trainings.
            slots: Where runs may go on at the same time.

        Returns:
            What failed, a sentence each; the other runs are done.

        Raises:
            ValueError: If the folder holds a training of other settings.
        """
        tested_by: dict[Path, list[AblationRow]] = {}
        for row in rows:
            tested_by.setdefault(row.weights, []).append(row)
        units = [
            (read_row(config, self.options), seed, tested)
            for seed in seeds
            for config, tested in tested_by.items()
        ]
        for trained, seed, _ in units:
            self._check_training(trained, seed)
        free: SimpleQueue[Slot] = SimpleQueue()
        for slot in slots:
            free.put(slot)

        def run(
            trained: AblationRow, seed: int, tested: list[AblationRow]
        ) -> None:
            slot = free.get()
            try:
                self._train(trained, seed, slot)
                for row in tested:
                    self._test(row, trained, seed, slot)
            finally:
                free.put(slot)

        failures = []
        with ThreadPoolExecutor(len(slots)) as pool:
            futures: dict[Future[None], str] = {
                pool.submit(run, *unit): f'{unit[0].name}, seed {unit[1]}'
                for unit in units
            }
            try:
                for future in as_completed(futures):
                    try:
                        future.result()
                    except TrainingFailedError as error:
                        failures.append(f'{futures[future]}: {error}')
                        self.say(failures[-1])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return failures

    def result(self, row: AblationRow, seed: int) -> Result | None:
        """What a test gave; ``None`` if it is not done with today's config."""
        if not self._is_tested(row, seed):
            return None
        return read_results(self._place(row.name, seed) / 'result.json')[0]

    def checkpoint(self, row: AblationRow, seed: int) -> Path:
        """The weights at the end of a training, there or not yet."""
        folder = self._place(row.name, seed) / 'train'
        return folder / f'iter_{row.max_iters}.pth'

    def _place(self, name: str, seed: int) -> Path:
        return self.folder / name / f'seed_{seed}'

    def _check_training(self, row: AblationRow, seed: int) -> None:
        work_dir = self._place(row.name, seed) / 'train'
        noted = work_dir / row.config.name
        if not noted.is_file():
            return
        settings = Config.fromfile(noted, import_custom_modules=False)
        if run_digests(settings)[0] != row.training:
            raise ValueError(
                f'{work_dir} holds a training of other settings than '
                f'{row.config} has now; move it away, or choose another '
                '--work-dir'
            )

    def _is_trained(self, row: AblationRow, seed: int) -> bool:
        # written when the checkpoint is whole
        note = self._place(row.name, seed) / 'train' / 'last_checkpoint'
        wanted = self.checkpoint(row, seed)
        return (
            note.is_file()
            and Path(note.read_text().strip()).name == wanted.name
            and wanted.is_file()
        )

    def _is_tested(self, row: AblationRow, seed: int) -> bool:
        place = self._place(row.name, seed)
        noted = place / 'test' / row.config.name
        if not (noted.is_file() and (place / 'result.json').is_file()):
            return False
        settings = Config.fromfile(noted, import_custom_modules=False)
        return run_digests(settings)[1] == row.test

    def _train(self, row: AblationRow, seed: int, slot: Slot) -> None:
        if self._is_trained(row, seed):
            return
        self._run(
            f'{row.name}, seed {seed}: trained',
            'train',
            [str(row.config)],
            [
                *('--work-dir', str(self._place(row.name, seed) / 'train')),
                '--resume',
                *self._options(
                    {
                        'randomness.seed': seed,
                        'train_cfg.val_interval': row.max_iters + 1,
                    }
                ),
            ],
            self._place(row.name, seed) / 'train.log',
            slot,
        )

    def _test(
        self, row: AblationRow, trained: AblationRow, seed: int, slot: Slot
    ) -> None:
        if self._is_tested(row, seed):
            return
        place = self._place(row.name, seed)
        (place / 'result.json').unlink(missing_ok=True)
        self._run(
            f'{row.name}, seed {seed}: tested',
            'test',
            [str(row.config), str(self.checkpoint(trained, seed))],
            [
                *('--work-dir', str(place / 'test')),
                *('--out', str(place / 'result.json')),
                *self._options({}),
            ],
            place / 'test.log',
            slot,
        )

    def _options(self, own: dict[str, Any]) -> list[str]:
        pairs = [f'{key}={value}' for key, value in own.items()]
        pairs += [f'{key}={_text(v)}' for key, v in self.options.items()]
        return ['--cfg-options', *pairs] if pairs else []

    def _run(
        self,
        done: str,
        tool: str,
        subject: list[str],
        options: list[str],
        log: Path,
        slot: Slot,
    ) -> None:
        """Run ``train`` or ``test`` in a process; say ``done`` and how long.

        Raises:
            TrainingFailedError: If it ends with an error.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        if slot.devices > 1:
            launcher = ['bash', str(self.tools / f'dist_{tool}.sh')]
            command = [*launcher, *subject, str(slot.devices), *options]
        else:
            script = str(self.tools / f'{tool}.py')
            command = [sys.executable, script, *subject, *options]
        start = perf_counter()
        with log.open('w') as output:
            code = subprocess.run(
                command,
                env={**os.environ, **slot.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode
        if code:
            last = log.read_text(errors='replace').splitlines()[-_SHOWN:]
            raise TrainingFailedError(
                f'{tool}.py ended with exit status {code}, see {log}:\n  '
                + '\n  '.join(last)
            )
        self.say(f'{done} ({perf_counter() - start:.0f} s)')


def _text(value: Any) -> str:
    """A value as ``--cfg-options`` reads it."""
    if isinstance(value, list | tuple):
        return f'[{",".join(map(_text, value))}]'
    return str(value)
