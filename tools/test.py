#!/usr/bin/env python
"""Evaluate: python tools/test.py CONFIG CHECKPOINT [--out results.json]."""

import argparse
from pathlib import Path

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from freeseg_mm.cli.main import user_errors
from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.engine.compatibility_hook import model_of
from freeseg_mm.evaluation.results import write_results
from freeseg_mm.models.segmentors.test_time_augmentation import use_tta
from freeseg_mm.utils.errors import building
from freeseg_mm.utils.files import require_writable
from freeseg_mm.utils.run_config import (
    add_run_arguments,
    init_distributed_on_cpu,
    read_run_config,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test FreeSeg')
    add_run_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        type=Path,
        help='write all metrics, per class too, as JSON to this file',
    )
    parser.add_argument(
        '--show-dir',
        metavar='FOLDER',
        help='draw ground truth and prediction of every image; a relative '
        'folder is made in WORK_DIR/TIMESTAMP',
    )
    parser.add_argument(
        '--show', action='store_true', help='show the pictures in a window'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds a window stays (default: %(default)s)',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='predict flipped and resized copies of each image, too, and '
        'join them: tta_pipeline and tta_model of the config, or three sizes '
        'and both flips',
    )
    return parser.parse_args()


def build_runner(args: argparse.Namespace) -> Runner:
    weights = WeightsInfo.read(Path(args.checkpoint))
    if args.out is not None and args.out.suffix != '.json':
        raise ValueError(f'--out {args.out}: expected a name ending in .json')
    if args.out is not None:
        require_writable(args.out)
    if args.show_dir and Path(args.show_dir).is_absolute():
        require_writable(Path(args.show_dir) / 'picture')
    config = read_run_config(args)
    config.load_from, config.resume = args.checkpoint, False
    if args.tta:
        use_tta(config)
    if args.show or args.show_dir:
        # configs of older checkpoints have none
        hook = {'type': 'DetVisualizationHook'}
        config.default_hooks.setdefault('visualization', hook)
        trigger_visualization_hook(config, args)
    init_distributed_on_cpu(config)
    with building('test'):
        runner = Runner.from_cfg(config)
        _ = runner.test_loop  # builds the data, which may be missing
    weights.check(model_of(runner))  # mmengine would skip what does not fit
    return runner


def main() -> None:
    args = parse_args()
    with user_errors('test'):
        runner = build_runner(args)
    metrics = runner.test()  # an error in here keeps its traceback
    if args.out is not None and is_main_process():
        model = runner.cfg.model
        test_cfg = (model.module if args.tta else model).test_cfg
        write_results(
            args.out,
            metrics,
            runner.test_evaluator.metrics,
            runner.test_dataloader.dataset.metainfo,
            config_path=args.config,
            checkpoint=args.checkpoint,
            test_cfg=test_cfg,
            options=args.cfg_options,
            images=len(runner.test_dataloader.dataset),
        )


if __name__ == '__main__':
    main()
