#!/usr/bin/env python
r"""Train and test configs over several seeds: what is each part worth?

Every config is trained once for each seed, unless it names another one whose
weights it tests, then tested. What is done already is not done again: start
the same command to go on after an interruption. As many runs go on at once
as there are GPUs, or cores. WORK_DIR/summary.json and summary.md hold mean
and standard deviation, in the layout of the paper's tables where a config
stands for a row of them, with the paper's numbers beside.

example, Table 4 on the shapes benchmark:
  tools/ablate.py configs/ablations/shapes_{no_text,class_prompt}.py \
      configs/ablations/shapes_{task_prompt,interaction,prompt_tuning}.py \
      --seeds 0 1 2 --work-dir work_dirs/ablation
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from tqdm import tqdm

from freeseg_mm.analysis.paper_tables import load_rows
from freeseg_mm.recipes.ablation import (
    Runs,
    read_rows,
    summarize,
    tables_of,
)
from freeseg_mm.recipes.processes import find_slots

TOOLS = Path(__file__).resolve().parent
ROWS = TOOLS.parent / 'configs' / 'tables'


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override entries of all configs',
    )
    args = parser.parse_args(arguments)
    args.seeds = list(dict.fromkeys(args.seeds))
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    try:
        rows = read_rows(args.configs, args.cfg_options)
        slots = find_slots(args.jobs, args.gpus_per_run)
        runs = Runs(args.work_dir, TOOLS, args.cfg_options, tqdm.write)
        failures = runs.complete(rows, args.seeds, slots)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f'error: {error}')
    results = {
        row.name: {
            seed: result
            for seed in args.seeds
            if (result := runs.result(row, seed)) is not None
        }
        for row in rows
    }
    paper = load_rows(ROWS)
    summary = summarize(rows, results, paper)
    text = tables_of(summary, paper, args.work_dir, args.cfg_options)
    written = {
        'summary.json': json.dumps(summary, indent=1) + '\n',
        'summary.md': text,
    }
    for name, content in written.items():
        (args.work_dir / name).write_text(content, 'utf-8')
    print(text, end='')
    if failures:
        sys.exit(f'error: {len(failures)} of the runs failed, see above')


if __name__ == '__main__':
    main()
