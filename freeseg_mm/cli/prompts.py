"""``freeseg-mm prompts``: class and task prompts learned ahead."""

import argparse
from pathlib import Path
from typing import Any

from freeseg_mm.utils.run_config import add_config_arguments, read_config

from .arguments import (
    CommandParser,
    add_command,
    add_fields,
    add_group,
    read_options,
)

_PRETRAIN = """\
Learn class and task prompts before the network, from masks' crops.

Frozen CLIP names crops of the labelled masks of seen classes; only the
prompts learn. Prints how many held-out crops it names rightly, and writes a
small file that model.prompt_learner.init_cfg loads:

    freeseg-mm prompts pretrain configs/freeseg/shapes.py \\
        --out data/shapes_prompts.pth
"""
_LINES = {
    'fixed': '"A photo of {}."',
    'before': 'before learning',
    'after': 'after learning',
}


def add_parser(commands: Any) -> None:
    """Add ``prompts`` to the subcommands."""
    add_command(
        add_group(commands, 'prompts', help='learn prompts ahead'),
        'pretrain',
        help='learn them on crops of the training masks',
        text=_PRETRAIN,
        layout=_lay_out,
        run=run,
    )


def _lay_out(parser: CommandParser) -> None:
    from freeseg_mm.recipes.prompt_pretraining import PromptTraining

    add_config_arguments(parser)
    parser.add_argument(
        '--out', type=Path, required=True, help='file to write, .pth'
    )
    add_fields(parser, PromptTraining)
    parser.add_argument('--device', help='default: a GPU if there is one')
    parser.add_argument(
        '--workers',
        type=int,
        help='processes that read images (default: as the config says)',
    )


def run(args: argparse.Namespace) -> None:
    """Learn the prompts, write them and print accuracies."""
    from freeseg_mm.recipes.prompt_pretraining import (
        PromptTraining,
        pretrain_prompts,
    )

    report = pretrain_prompts(
        read_config(args.config, args.cfg_options),
        args.out,
        read_options(PromptTraining, args),
        device=args.device,
        workers=args.workers,
    )
    print(
        f'learned from {report.num_learned} crops of seen classes; named '
        f'rightly of {report.num_held_out} held-out ones, percent, mean over '
        'classes:'
    )
    for key, line in _LINES.items():
        shares = ', '.join(
            f'{task.value} {share:.1f}'
            for task, share in report.accuracy[key].items()
        )
        print(f'  {line}: {shares}')
    print(f'prompts are in {args.out}')
