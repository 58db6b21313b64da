"""Train and test configs, each only as far as it is not done yet."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from mmengine.config import Config

from freeseg_mm.analysis.paper_tables.result_files import Result, read_results
from freeseg_mm.recipes.processes import (
    RunFailedError,
    Slot,
    option_arguments,
    run_tool,
)

from .rows import AblationRow, read_row, run_digests


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

        Rows of the same weights share a training; one with a teacher follows
        that one's training, with pseudo labels by its weights. A run that was
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
        families = self._families(list(tested_by))
        for family in families:
            for trained in family:
                for seed in seeds:
                    self._check_training(trained, seed)
        free: SimpleQueue[Slot] = SimpleQueue()
        for slot in slots:
            free.put(slot)

        def run(family: list[AblationRow], seed: int) -> None:
            slot = free.get()
            try:
                for trained in family:
                    self._train(trained, family[0], seed, slot)
                    for row in tested_by.get(trained.config, []):
                        self._test(row, trained, seed, slot)
            finally:
                free.put(slot)

        failures = []
        with ThreadPoolExecutor(len(slots)) as pool:
            futures = [
                pool.submit(run, family, seed)
                for seed in seeds
                for family in families
            ]
            try:
                for future in as_completed(futures):
                    try:
                        future.result()
                    except RunFailedError as error:
                        failures.append(str(error))
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

    def _families(self, trained: Sequence[Path]) -> list[list[AblationRow]]:
        """Trainings that need no other, each with those that need it."""
        families: dict[Path, list[AblationRow]] = {}
        for path in trained:
            row = read_row(path, self.options)
            family = families.setdefault(row.teacher or path, [])
            if row.teacher:
                family.append(row)
            else:
                family.insert(0, row)
        for path, family in families.items():
            if family[0].config != path:
                family.insert(0, read_row(path, self.options))
        return list(families.values())

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

    def _label(
        self, row: AblationRow, teacher: AblationRow, seed: int, slot: Slot
    ) -> Path:
        labels = self._place(row.name, seed) / 'pseudo_labels'
        self._run(
            row,
            seed,
            'make_pseudo_labels',
            [str(teacher.config), str(self.checkpoint(teacher, seed))],
            ['--out', str(labels), *option_arguments(self.options)],
            replace(slot, devices=min(slot.devices, 1)),
        )
        return labels

    def _train(
        self, row: AblationRow, teacher: AblationRow, seed: int, slot: Slot
    ) -> None:
        if self._is_trained(row, seed):
            return
        own: dict[str, Any] = {
            'randomness.seed': seed,
            'train_cfg.val_interval': row.max_iters + 1,
        }
        if row.teacher:
            own['train_dataloader.dataset.pseudo_labels'] = self._label(
                row, teacher, seed, slot
            )
        work_dir = self._place(row.name, seed) / 'train'
        options = option_arguments({**own, **self.options})
        self._run(
            row,
            seed,
            'train',
            [str(row.config)],
            ['--work-dir', str(work_dir), '--resume', *options],
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
            row,
            seed,
            'test',
            [str(row.config), str(self.checkpoint(trained, seed))],
            [
                *('--work-dir', str(place / 'test')),
                *('--out', str(place / 'result.json')),
                *option_arguments(self.options),
            ],
            slot,
        )

    def _run(
        self,
        row: AblationRow,
        seed: int,
        tool: str,
        subject: list[str],
        arguments: list[str],
        slot: Slot,
    ) -> None:
        script = self.tools / f'{tool}.py'
        log = self._place(row.name, seed) / f'{tool}.log'
        start = perf_counter()
        try:
            run_tool(script, subject, arguments, slot, log)
        except RunFailedError as error:
            raise RunFailedError(f'{row.name}, seed {seed}: {error}') from None
        seconds = perf_counter() - start
        self.say(f'{row.name}, seed {seed}: {tool} done ({seconds:.0f} s)')
