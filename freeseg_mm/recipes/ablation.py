"""Sets of configs trained and tested over several seeds."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import Any

from mmengine.config import Config

from freeseg_mm.analysis.paper_tables import (
    TABLES,
    RowConfig,
    fill_table,
    markdown_report,
)
from freeseg_mm.analysis.paper_tables.filling import Table
from freeseg_mm.analysis.paper_tables.result_files import Result, read_results
from freeseg_mm.analysis.paper_tables.row_configs import digests, row_name
from freeseg_mm.utils.journal import RunStamp, StampState
from freeseg_mm.utils.parallel import Shard
from freeseg_mm.utils.run_config import read_config

from .processes import Slot, run_on_slots

# Entries that are notes to a reader, or of one run: where it writes, what it
# starts from, its seed.
_LEFT_OUT = (
    *('paper', 'paper_row', 'lacks', 'weights', 'pseudo_labels_of'),
    *('experiment_name', 'launcher', 'load_from', 'randomness', 'resume'),
    'work_dir',
)

_LABEL = (sys.executable, '-m', 'freeseg_mm', 'pseudo-labels', 'make')


@dataclass(frozen=True)
class AblationRow:
    """One config of an ablation.

    Attributes:
        config: The config file.
        weights: The config file whose training gives the weights: its own,
            or the one that ``weights`` in it names.
        teacher: The config file whose weights make the pseudo labels of its
            training, named by ``pseudo_labels_of`` in it; ``None`` if it
            uses none.
        paper_row: The row of the paper's tables that it stands for, as
            ``table4/ablation_4_interaction``; ``None`` if there is none.
        max_iters: Length of its training.
        training: Digest of all that its training depends on, seed aside.
        test: Digest of all that its test depends on, weights aside.
    """

    config: Path
    weights: Path
    teacher: Path | None
    paper_row: str | None
    max_iters: int
    training: str
    test: str

    @property
    def name(self) -> str:
        """Stem of the config file."""
        return self.config.stem


def read_rows(
    paths: Sequence[Path], options: Mapping[str, Any] | None = None
) -> list[AblationRow]:
    """Read the configs of an ablation.

    Args:
        paths: Config files.
        options: Entries that are overridden in all of them.

    Raises:
        FileNotFoundError: If a config, or one that it takes its weights or
            pseudo labels from, is not there.
        KeyError: If an option could have no effect.
        ValueError: If two configs have one name, or one has no number of
            iterations.
    """
    rows = [read_row(path, options) for path in paths]
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f'several configs are named {", ".join(twice)}; results are kept '
            'by name, so each needs its own'
        )
    return rows


def read_row(
    path: Path, options: Mapping[str, Any] | None = None
) -> AblationRow:
    """Read one config, see :func:`read_rows`."""
    config = read_config(path, options)
    max_iters = (config.get('train_cfg') or {}).get('max_iters')
    if not isinstance(max_iters, int):
        raise ValueError(
            f'{path}: train_cfg.max_iters is {max_iters!r}; an ablation '
            'needs a number of iterations to know when a training is done'
        )
    training, test = run_digests(config)
    return AblationRow(
        config=path,
        weights=_named(path, 'weights', config) or path,
        teacher=_named(path, 'pseudo_labels_of', config),
        paper_row=config.get('paper_row')
        or (row_name(str(path)) if 'paper' in config else None),
        max_iters=max_iters,
        training=training,
        test=test,
    )


def run_digests(config: Config) -> tuple[str, str]:
    """Digests of what a config's training and its test depend on."""
    content = config.to_dict()
    for key in _LEFT_OUT:
        content.pop(key, None)
    # validation on the way does not change the weights
    content['train_cfg'] = dict(content['train_cfg'], val_interval=None)
    # a folder of the run
    content.get('train_dataloader', {}).get('dataset', {}).pop(
        'pseudo_labels', None
    )
    return digests(content)


def _named(path: Path, note: str, config: Config) -> Path | None:
    name = config.get(note)
    if name is None:
        return None
    places = [parent / f'{name}.py' for parent in list(path.parents)[:2]]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f'{path} has {note} = {name!r}, but there is neither '
        f'{" nor ".join(map(str, places))}'
    )


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
        label: Start of the command that makes pseudo labels.
        say: Function that is called with a line for each run that is done.
    """

    folder: Path
    tools: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    label: Sequence[str] = _LABEL
    say: Callable[[str], None] = print

    def complete(
        self,
        rows: Sequence[AblationRow],
        seeds: Sequence[int],
        slots: Sequence[Slot],
        shard: Shard | None = None,
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
            shard: Share of what can be done by itself: a training of a
                seed, with those that need it and their tests.

        Returns:
            What failed, a sentence each; the other runs are done.

        Raises:
            ValueError: If the folder holds a training of other settings.
        """
        families = self._families(rows)
        for family in families:
            for trained in family:
                for seed in seeds:
                    stamp = self._training_stamp(trained, seed)
                    if stamp.state() is StampState.OTHER:
                        raise ValueError(
                            f'{stamp.outputs[0].parent} holds a training of '
                            f'other settings than {trained.config} has now, '
                            'or of unknown ones; move it away, or choose '
                            'another --work-dir'
                        )
        jobs = [
            partial(self._run_family, family, rows, seed)
            for seed in seeds
            for family in families
        ]
        return run_on_slots((shard or Shard()).of(jobs), slots, self.say)

    def result(self, row: AblationRow, seed: int) -> Result | None:
        """Read a test's result; ``None`` unless of the config as it is."""
        stamp = self._test_stamp(row, seed)
        if stamp.state() is not StampState.FINISHED:
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
            training = self._training_stamp(trained, seed)
            training.run(partial(self._train, trained, family[0], seed, slot))
            for row in rows:
                if row.weights == trained.config:
                    weights = training.outputs[0]
                    self._test_stamp(row, seed).run(
                        partial(self._test, row, weights, seed, slot)
                    )

    def _place(self, row: AblationRow, seed: int) -> Path:
        return self.folder / row.name / f'seed_{seed}'

    def _training_stamp(self, row: AblationRow, seed: int) -> RunStamp:
        place = self._place(row, seed)
        inputs = {
            'settings': row.training,
            'teacher': row.teacher and row.teacher.stem,
            'seed': seed,
        }
        weights = place / 'train' / f'iter_{row.max_iters}.pth'
        partial_weights = weights.parent.glob('iter_*.pth')
        return RunStamp(
            place / '.train.json', inputs, [weights], partial_weights
        )

    def _test_stamp(self, row: AblationRow, seed: int) -> RunStamp:
        place = self._place(row, seed)
        inputs = {
            'settings': row.test,
            'weights': row.weights.stem,
            'seed': seed,
        }
        return RunStamp(place / '.test.json', inputs, [place / 'result.json'])

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
            weights = self._training_stamp(teacher, seed).outputs[0]
            self._run(
                *(row, seed, slot, 'pseudo_labels'),
                [
                    *(*self.label, teacher.config, weights, '--out', labels),
                    *(['--gpus', slot.devices] if slot.devices > 1 else []),
                ],
                _option_arguments(self.options),
            )
            own['train_dataloader.dataset.pseudo_labels'] = labels
        options = _option_arguments({**own, **self.options})
        self._run(
            *(row, seed, slot, 'train'),
            self._tool('train', slot, row.config),
            ['--work-dir', place / 'train', '--resume', *options],
        )

    def _test(
        self, row: AblationRow, weights: Path, seed: int, slot: Slot
    ) -> None:
        place = self._place(row, seed)
        self._run(
            *(row, seed, slot, 'test'),
            self._tool('test', slot, row.config, weights),
            [
                *('--work-dir', place / 'test'),
                *('--out', place / 'result.json'),
                *_option_arguments(self.options),
            ],
        )

    def _tool(self, name: str, slot: Slot, *subject: Path) -> list[Any]:
        """Start of a command: ``NAME.py``, or ``dist_NAME.sh`` on several."""
        if slot.devices > 1:
            script = self.tools / f'dist_{name}.sh'
            return ['bash', script, *subject, slot.devices]
        return [sys.executable, self.tools / f'{name}.py', *subject]

    def _run(
        self,
        row: AblationRow,
        seed: int,
        slot: Slot,
        step: str,
        start: Sequence[Any],
        arguments: Sequence[str | Path],
    ) -> None:
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


def summarize(
    rows: Sequence[AblationRow],
    results: Mapping[str, Mapping[int, Result]],
    paper: Mapping[str, RowConfig],
) -> dict[str, Any]:
    """Summarize results over the seeds.

    Args:
        rows: The rows that were trained and tested.
        results: By row and seed; rows and seeds that failed are left out.
        paper: The rows of the paper's tables by name.

    Returns:
        ``rows``: by name, ``config``, ``weights`` (the row that was
        trained), ``paper_row``, ``paper`` (its printed numbers), ``seeds``
        (metrics of each), ``mean`` and ``std`` over the seeds (of n - 1
        degrees of freedom, ``None`` for a single seed). Percent; a metric
        that any seed has no number of is ``None``.
    """
    summary = {}
    for row in rows:
        seeds = {
            seed: result.metrics
            for seed, result in sorted(results.get(row.name, {}).items())
        }
        names = dict.fromkeys(n for each in seeds.values() for n in each)
        spread = {
            name: _mean_and_std([each.get(name) for each in seeds.values()])
            for name in names
        }
        printed = paper.get(row.paper_row or '')
        summary[row.name] = {
            'config': str(row.config),
            'weights': row.weights.stem,
            'paper_row': row.paper_row,
            'paper': printed.paper if printed else {},
            'seeds': {str(seed): metrics for seed, metrics in seeds.items()},
            'mean': {name: value for name, (value, _) in spread.items()},
            'std': {name: value for name, (_, value) in spread.items()},
        }
    return {'rows': summary}


def tables_of(
    summary: Mapping[str, Any],
    paper: Mapping[str, RowConfig],
    folder: Path,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Write a summary as Markdown, in the layout of the paper's tables.

    Rows that stand for none of the paper's get a table of their own.

    Args:
        summary: As :func:`summarize` gives it.
        paper: The rows of the paper's tables by name.
        folder: The work dir of all runs.
        options: Entries that were overridden in all configs.
    """
    results = [
        Result(
            path=folder / name,
            title=f'{name} ({_seeds(row["seeds"])})',
            metrics=row['mean'],
            spread=row['std'],
            row=row['paper_row'],
            checkpoint=f'{folder / row["weights"]}/seed_*/train',
            options=dict(options or {}),
        )
        for name, row in summary['rows'].items()
        if row['seeds']
    ]
    tables = [table for table in TABLES if _is_filled(table, paper, results)]
    return markdown_report(tables, paper, results)


def _is_filled(
    table: Table, paper: Mapping[str, RowConfig], results: Sequence[Result]
) -> bool:
    return any(
        cell.ours is not None
        for row in fill_table(table, paper, results)
        for cell in row.cells
    )


def _seeds(metrics: Mapping[str, Any]) -> str:
    return f'seed{"s" * (len(metrics) > 1)} {", ".join(metrics)}'


def _mean_and_std(
    values: Sequence[float | None],
) -> tuple[float | None, float | None]:
    numbers = [value for value in values if value is not None]
    if not numbers or len(numbers) < len(values):
        return None, None
    return mean(numbers), stdev(numbers) if len(numbers) > 1 else None
