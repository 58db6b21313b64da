#!/usr/bin/env python
"""Train: python tools/train.py CONFIG [options]."""

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner, Runner

from freeseg_mm.cli.main import user_errors
from freeseg_mm.engine.checkpoint import WeightsInfo, latest_checkpoint
from freeseg_mm.engine.compatibility_hook import model_of
from freeseg_mm.utils.errors import (
    DivergedError,
    building,
    is_out_of_memory,
    memory_advice,
    raised_here,
    sentence_of,
)
from freeseg_mm.utils.run_config import (
    add_run_arguments,
    init_distributed_on_cpu,
    read_run_config,
)
from freeseg_mm.utils.torch_load import load_from_local


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train FreeSeg')
    add_run_arguments(parser)
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by batch size / auto_scale_lr',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint; from the last in the work dir if none '
        'is named',
    )
    return parser.parse_args()


def apply_training_options(config: Config, args: argparse.Namespace) -> None:
    if args.amp:
        if get_device() in ('cpu', 'mps'):
            raise ValueError('--amp: mixed precision training needs a GPU')
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if not config.get('auto_scale_lr'):
            raise ValueError(
                '--auto-scale-lr: the config has no auto_scale_lr = '
                'dict(base_batch_size=...), for which its rate was chosen'
            )
        config.auto_scale_lr.enable = True
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    work_dir = Path(config.work_dir)
    if (
        config.get('resume')
        and config.get('load_from') is None
        and (work_dir / 'last_checkpoint').exists()
    ):
        latest = latest_checkpoint(work_dir)
        config.resume = latest is not None
        config.load_from = latest and str(latest)


def build_runner(args: argparse.Namespace) -> Runner | FlexibleRunner:
    config = read_run_config(args)
    apply_training_options(config, args)
    start = config.get('load_from')
    if start is not None and (not isinstance(start, str) or not start):
        raise ValueError(
            f'load_from is {start!r}, expected the name of a file'
        )
    if start and '://' not in start and not Path(start).is_dir():
        load_from_local(start)  # refused before any work is done
    init_distributed_on_cpu(config)
    with building('training'):
        runner = (
            RUNNERS.build(config)
            if 'runner_type' in config
            else Runner.from_cfg(config)
        )
    if config.get('resume') and start:
        weights = WeightsInfo.read(Path(start))
        weights.check(model_of(runner))  # mmengine skips what does not fit
    with building('training'):
        _ = runner.train_loop  # builds the data, which may be missing
        if isinstance(runner, Runner):
            wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
            runner.optim_wrapper = wrapper
            check_rates(wrapper.get_lr())
            # a scaled rate comes first, which mmengine does later
            is_scaled = (runner.auto_scale_lr or {}).get('enable')
            if runner.param_schedulers and not is_scaled:
                runner.param_schedulers = runner.build_param_scheduler(
                    runner.param_schedulers
                )
    return runner


def check_rates(rates: dict[str, list[float]]) -> None:
    """Refuse learning rates that the parameters' type cannot hold.

    Raises:
        ValueError: If one is larger than a float32.
    """
    largest = torch.finfo(torch.float32).max
    wrong = sorted({x for each in rates.values() for x in each if x > largest})
    if wrong:
        raise ValueError(f'learning rates {wrong} are above {largest}')


def main() -> None:
    args = parse_args()
    with user_errors('train'):
        runner = build_runner(args)
    try:
        runner.train()  # all other errors in here keep their traceback
    except DivergedError as error:
        raise SystemExit(str(error)) from error
    except ValueError as error:
        if not raised_here(error):
            raise
        raise SystemExit(f'train: {sentence_of(error)}') from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        training = model_of(runner).training
        advice = memory_advice(
            error,
            runner.cfg,
            iteration=runner.iter + training,
            training=training,
        )
        raise SystemExit(advice) from error


if __name__ == '__main__':
    main()
