"""``freeseg-mm ablate`` and ``report``: results as the paper's tables."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeseg_mm.utils.files import PACKAGE_FILES, find_path, write_text
from freeseg_mm.utils.run_config import add_options

from .arguments import CommandParser, add_command, add_shard

if TYPE_CHECKING:
    from freeseg_mm.recipes.ablation import AblationRow, Runs

_ABLATE = """\
Train and test configs over several seeds, to tell what each part is worth.

Every config is trained once for each seed, unless it names another one whose
weights it tests, then tested. What is done already is not done again: start
the same command to go on after an interruption. As many runs go on at once
as there are GPUs, or cores. WORK_DIR/summary.json and summary.md hold mean
and standard deviation, in the layout of the paper's tables where a config
stands for a row of them, with the paper's numbers beside.

example, Table 4 on the shapes benchmark:
  freeseg-mm ablate configs/ablations/shapes_{no_text,class_prompt}.py \\
      configs/ablations/shapes_{task_prompt,interaction,prompt_tuning}.py \\
      --seeds 0 1 2 --work-dir work_dirs/ablation
"""
_REPORT = """\
Print Tables 1-7 of the paper with our results beside them.

RESULTS are files that tools/test.py wrote with --out, or metrics.json of the
demo. A result is put where its config is a row of a table (configs/tables);
results of other configs get a table of their own. Without results the tables
hold the paper's numbers alone.
"""
_ROWS = PACKAGE_FILES / 'configs/tables'


def add_parser(commands: Any) -> None:
    """Add ``ablate`` and ``report`` to the subcommands."""
    add_command(
        commands,
        'ablate',
        help='train and test configs over several seeds',
        text=_ABLATE,
        layout=_lay_out_ablate,
        run=run_ablate,
        goes_on=True,
    )
    add_command(
        commands,
        'report',
        help="print the paper's tables with our results",
        text=_REPORT,
        layout=_lay_out_report,
        run=run_report,
    )


def _lay_out_ablate(parser: CommandParser) -> None:
    parser.add_argument('configs', metavar='CONFIG', type=Path, nargs='+')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='default: 0'
    )
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument(
        '--jobs',
        type=int,
        metavar='N',
        help='runs at once; default: one for each GPU, or core',
    )
    parser.add_argument(
        '--gpus-per-run', type=int, default=1, metavar='N', help='default: 1'
    )
    add_shard(
        parser,
        'the trainings (one a seed and config that needs no other, with the '
        'tests that use it)',
        'the command without it sums all up',
    )
    add_options(parser, '--cfg-options', 'entries of all configs')


def run_ablate(args: argparse.Namespace) -> None:
    """Run what is missing, write the summary and print its tables."""
    from tqdm import tqdm

    from freeseg_mm.recipes.ablation import Runs, read_rows
    from freeseg_mm.recipes.processes import find_slots
    from freeseg_mm.utils.parallel import Shard

    seeds = list(dict.fromkeys(args.seeds))
    paths = [find_path(path) for path in args.configs]
    rows = read_rows(paths, args.cfg_options)
    slots = find_slots(args.jobs, args.gpus_per_run)
    tools = PACKAGE_FILES / 'tools'
    runs = Runs(args.work_dir, tools, args.cfg_options, tqdm.write)
    shard = Shard.parse(args.shard or '1/1')
    failures = runs.complete(rows, seeds, slots, shard)
    if shard.count == 1:
        _sum_up(args, rows, seeds, runs)
    if failures:
        raise RuntimeError(f'{len(failures)} of the runs failed, see above')


def _sum_up(
    args: argparse.Namespace,
    rows: 'Sequence[AblationRow]',
    seeds: Sequence[int],
    runs: 'Runs',
) -> None:
    from freeseg_mm.analysis.paper_tables import load_rows
    from freeseg_mm.recipes.ablation import summarize, tables_of

    results = {
        row.name: {
            seed: result
            for seed in seeds
            if (result := runs.result(row, seed)) is not None
        }
        for row in rows
    }
    paper = load_rows(_ROWS)
    summary = summarize(rows, results, paper)
    text = tables_of(summary, paper, args.work_dir, args.cfg_options)
    written = {
        'summary.json': json.dumps(summary, indent=1) + '\n',
        'summary.md': text,
    }
    for name, content in written.items():
        write_text(content, args.work_dir / name)
    print(text, end='')


def _lay_out_report(parser: CommandParser) -> None:
    parser.add_argument('results', metavar='RESULTS', type=Path, nargs='*')
    parser.add_argument(
        '--format',
        choices=['markdown', 'csv'],
        default='markdown',
        help='default: %(default)s',
    )
    parser.add_argument(
        '--out', type=Path, help='write to this file, not to the screen'
    )


def run_report(args: argparse.Namespace) -> None:
    """Print or write the tables."""
    from freeseg_mm.analysis.paper_tables import (
        TABLES,
        csv_report,
        load_rows,
        markdown_report,
        read_results,
    )

    results = [
        result for path in args.results for result in read_results(path)
    ]
    report = csv_report if args.format == 'csv' else markdown_report
    text = report(TABLES, load_rows(_ROWS), results)
    if args.out is None:
        print(text, end='')
    else:
        write_text(text, args.out)
