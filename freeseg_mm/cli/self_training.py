"""``freeseg-mm pseudo-labels`` and ``self-train``: unseen classes learned."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freeseg_mm.utils.run_config import add_config_arguments, read_config

from .arguments import (
    CommandParser,
    add_command,
    add_fields,
    add_group,
    add_shard,
    read_options,
)

if TYPE_CHECKING:
    from freeseg_mm.utils.parallel import Shard

_MAKE = """\
Predict the unseen classes on a run's training images, for self-training.

Only pixels without a seen label are predicted, and no unseen label is read.
A run that was killed goes on where it stopped; several processes may share
the images, and the labels are the same. Train with the result by
train_dataloader.dataset.pseudo_labels=DIR; see docs/self_training.md.

    freeseg-mm pseudo-labels make configs/freeseg/shapes.py \\
        work_dirs/shapes/iter_1500.pth --out work_dirs/shapes/pseudo_labels
"""
_SCORE = """\
Compare pseudo labels with the labels that training hides, to choose limits.

Needs true labels of the unseen classes, so it is for benchmarks; making and
learning pseudo labels does without.

    freeseg-mm pseudo-labels score configs/freeseg/shapes.py DIR
"""
_TRAIN = """\
Train with one's own predictions of the unseen classes, in rounds.

Trains the config (or takes --checkpoint), predicts the unseen classes on the
training images, trains with both, and so on. A run that was killed goes on
by the same command; with one process it ends with the same weights.

    freeseg-mm self-train configs/freeseg/shapes.py --rounds 1 \\
        --work-dir work_dirs/shapes_self_training
    freeseg-mm self-train configs/freeseg/coco.py --gpus 8 \\
        --work-dir work_dirs/coco_self_training
"""
# Number, count and number on its machine of a launcher's processes.
_RANKS = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
}


def add_parser(commands: Any) -> None:
    """Add ``pseudo-labels`` and ``self-train`` to the subcommands."""
    actions = add_group(
        commands, 'pseudo-labels', help='label unseen classes by predictions'
    )
    add_command(
        actions,
        'make',
        help='predict the unseen classes on the training images',
        text=_MAKE,
        layout=_lay_out_make,
        run=run_make,
        goes_on=True,
    )
    add_command(
        actions,
        'score',
        help='compare them with the labels that training hides',
        text=_SCORE,
        layout=_lay_out_score,
        run=run_score,
    )
    add_command(
        commands,
        'self-train',
        help='train, label unseen classes and train on, in rounds',
        text=_TRAIN,
        layout=_lay_out_train,
        run=run_train,
        goes_on=True,
    )


def _lay_out_make(parser: CommandParser) -> None:
    from freeseg_mm.recipes.self_training import Labelling, PseudoLabelSettings

    add_config_arguments(parser)
    parser.add_argument('checkpoint', type=Path, help='weights of the run')
    own = ('out', 'limit', 'num_pictures', 'num_workers', 'device', 'gpus')
    add_fields(parser, Labelling, own)
    add_shard(parser, 'the images', 'the command without it joins them')
    parser.add_argument(
        '--launcher',
        choices=('none', *_RANKS),
        default='none',
        help='take number and count of the process from a job launcher, in '
        'place of --shard',
    )
    add_fields(parser, PseudoLabelSettings)


def run_make(args: argparse.Namespace) -> None:
    """Make pseudo labels, unless they are there, and sum them up."""
    from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
    from freeseg_mm.recipes.self_training import Labelling, PseudoLabelSettings

    files = PseudoLabelFiles(args.out)
    shard, args.device = _place_of(args)
    was_made = read_options(
        Labelling,
        args,
        config=read_config(args.config, args.cfg_options),
        settings=read_options(PseudoLabelSettings, args),
        shard=shard,
    ).run()
    if was_made and shard.count > 1:
        print(f'predicted shard {shard}; the command without it joins all')
        return
    print(files.summary.read_text('utf-8'), end='')
    print(f'{"made" if was_made else "there already"}: {files.json}')


def _place_of(args: argparse.Namespace) -> 'tuple[Shard, str | None]':
    """Share of the images and device of this process."""
    import torch

    from freeseg_mm.utils.parallel import Shard

    if args.launcher == 'none':
        return Shard.parse(args.shard or '1/1'), args.device
    try:
        rank, count, local = (
            int(os.environ[name]) for name in _RANKS[args.launcher]
        )
    except KeyError as error:
        raise ValueError(
            f'--launcher {args.launcher}: the environment has no {error}; '
            'was the command started by it?'
        ) from None
    device = args.device
    if device is None and torch.cuda.is_available():
        device = f'cuda:{local % torch.cuda.device_count()}'
    return Shard(rank + 1, count), device


def _lay_out_score(parser: CommandParser) -> None:
    add_config_arguments(parser)
    parser.add_argument(
        'folder',
        metavar='DIR',
        type=Path,
        help='what freeseg-mm pseudo-labels make filled',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        nargs='+',
        default=[0.0, 0.2, 0.4, 0.6, 0.8, 0.9],
        help='least scores, a line for each (default: %(default)s)',
    )


def run_score(args: argparse.Namespace) -> None:
    """Print a line for each threshold."""
    from freeseg_mm.recipes.self_training.measuring import (
        compare_with_hidden_gt,
    )

    config = read_config(args.config, args.cfg_options)
    print(compare_with_hidden_gt(config, args.folder).table(args.score_thr))


def _lay_out_train(parser: CommandParser) -> None:
    from freeseg_mm.recipes.self_training import (
        PseudoLabelSettings,
        SelfTraining,
    )

    add_config_arguments(parser)
    own = ('work_dir', 'rounds', 'refresh', 'start', 'checkpoint')
    add_fields(parser, SelfTraining, (*own, 'num_workers', 'device', 'gpus'))
    add_fields(parser, PseudoLabelSettings)


def run_train(args: argparse.Namespace) -> None:
    """Go through the rounds and name the weights of each."""
    from freeseg_mm.recipes.self_training import (
        PseudoLabelSettings,
        SelfTraining,
    )

    training = read_options(
        SelfTraining,
        args,
        config=read_config(args.config, args.cfg_options),
        settings=read_options(PseudoLabelSettings, args),
    )
    for number, weights in enumerate(training.run()):
        print(f'round {number}: {weights}', flush=True)
