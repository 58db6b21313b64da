"""From a command line to a runner: what train and test share."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add OpenMMLab's arguments of every run."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='folder of logs and results; default work_dirs/NAME'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override config entries, e.g. model.clip.pretrained=random',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    # torch.distributed.launch passes --local-rank, torchrun does not
    parser.add_argument('--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the common arguments to it.

    Raises:
        FileNotFoundError: If the config file does not exist.
        KeyError: If an option names a key whose parent does not exist, so
            that a mistyped override cannot pass unnoticed.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = Config.fromfile(args.config)
    config.launcher = args.launcher
    if args.cfg_options:
        check_options(config, args.cfg_options)
        config.merge_from_dict(args.cfg_options)
    if args.work_dir:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return config


def init_distributed_on_cpu(config: Config) -> None:
    """Set up processes without GPUs; mmengine's own way asks for CUDA.

    Does nothing for a single process or where there is a GPU.

    Raises:
        ValueError: If a launcher other than ``pytorch`` is asked for.
    """
    if config.launcher == 'none' or torch.cuda.is_available():
        return
    if config.launcher != 'pytorch':
        raise ValueError(
            f'launcher {config.launcher!r} needs GPUs; without one, use '
            'tools/dist_train.sh, which launches with pytorch'
        )
    torch.distributed.init_process_group('gloo')
    config.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
    }


def check_options(config: Config, options: dict) -> None:
    """Refuse options whose dotted path leads through nothing.

    The last part may be new (many components have optional arguments), all
    before it must exist.

    Raises:
        KeyError: Naming the option and the part that does not exist.
    """
    for option in options:
        node = config
        *parents, _ = option.split('.')
        for part in parents:
            try:
                node = node[int(part) if part.isdigit() else part]
            except (KeyError, IndexError, TypeError):
                raise KeyError(
                    f'--cfg-options {option}: the config has no {part!r} '
                    'there; is it mistyped?'
                ) from None
