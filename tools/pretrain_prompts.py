#!/usr/bin/env python
"""Learn class and task prompts before the network, from masks' crops.

Frozen CLIP names crops of the labelled masks of seen classes; only the
prompts learn. Prints how many held-out crops it names rightly, and writes a
small file that model.prompt_learner.init_cfg loads:

    python tools/pretrain_prompts.py configs/freeseg/shapes.py \
        --out data/shapes_prompts.pth
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from freeseg_mm.datasets.from_config import add_config_arguments, read_config
from freeseg_mm.datasets.preparation.command import (
    CONFIG_MISTAKES,
    run_command,
)
from freeseg_mm.recipes.prompt_pretraining import (
    PretrainingReport,
    PromptTraining,
    pretrain_prompts,
)

_HELP = {
    'iters': 'number of steps',
    'batch_size': 'crops of a step',
    'lr': 'learning rate at the start',
    'weight_decay': 'of AdamW',
    'crops_per_class': 'most crops of a class, for each task',
    'held_out': 'share of the images that are for testing alone',
    'seed': 'of images, masks, crops and the start',
}
_LINES = {
    'fixed': '"A photo of {}."',
    'before': 'before learning',
    'after': 'after learning',
}


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--out', type=Path, required=True, help='file to write, .pth'
    )
    for field in fields(PromptTraining):
        parser.add_argument(
            f'--{field.name.replace("_", "-")}',
            type=type(field.default),
            default=field.default,
            help=f'{_HELP[field.name]} (default: %(default)s)',
        )
    parser.add_argument('--device', help='default: a GPU if there is one')
    parser.add_argument(
        '--workers',
        type=int,
        help='processes that read images (default: as the config says)',
    )
    return parser.parse_args(arguments)


def show(report: PretrainingReport) -> None:
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


def pretrain(args: argparse.Namespace) -> None:
    report = pretrain_prompts(
        read_config(args.config, args.cfg_options),
        args.out,
        PromptTraining(**{name: getattr(args, name) for name in _HELP}),
        device=args.device,
        workers=args.workers,
    )
    show(report)
    print(f'prompts are in {args.out}')


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    return run_command(
        'pretrain_prompts', lambda: pretrain(args), CONFIG_MISTAKES
    )


if __name__ == '__main__':
    sys.exit(main())
