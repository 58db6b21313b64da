"""From a command line to a runner: what train and test share."""

import argparse
import inspect
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

# What a runner takes as an argument, and what it reads from the config itself.
RUN_SETTINGS = {
    *inspect.signature(Runner).parameters,
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
} - {'cfg'}


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
        KeyError: If an option could have no effect; see
            :func:`check_options`.
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
        'device_ids': None,
        'broadcast_buffers': False,
        'find_unused_parameters': config.get('find_unused_parameters', False),
        **(config.get('model_wrapper_cfg') or {}),
    }


def check_options(config: Config, options: dict) -> None:
    """Refuse options that cannot have an effect.

    The first part must be a setting of a run: variables that config files
    share (``max_iters``, ``data_root``) are used up when these are read.
    The last part may be new, for components have optional arguments and
    refuse unknown ones; all before it must exist.

    Raises:
        KeyError: Naming the option and the part that is wrong.
    """
    for option in options:
        node = config
        *parents, last = option.split('.')
        top = (parents or [last])[0]
        if top not in RUN_SETTINGS:
            raise KeyError(
                f'--cfg-options {option}: {top!r} is no setting of a run; is '
                'it mistyped? A variable that config files share has to be '
                'changed in a config file, or what it sets be given instead'
            )
        for part in parents:
            try:
                node = node[int(part) if part.isdigit() else part]
            except (KeyError, IndexError, TypeError):
                raise KeyError(
                    f'--cfg-options {option}: the config has no {part!r} '
                    'there; is it mistyped?'
                ) from None
