"""Configs of runs: their arguments on a command line, and how they are read.

mmengine and torch are imported by the functions that use them, so that a
parser can be laid out without.
"""

import argparse
import inspect
import os
import reprlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import reason_of
from .files import find_path
from .openmmlab import register_configs

if TYPE_CHECKING:
    from mmengine.config import Config


class KeyValues(argparse.Action):
    """Read ``KEY=VALUE ...`` as mmengine does, which is imported then."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store a dictionary."""
        from mmengine.config import DictAction

        action = DictAction(self.option_strings, self.dest, nargs='+')
        wrong = [value for value in values if '=' not in value]
        if wrong:
            parser.error(f'{option_string}: expected KEY=VALUE, got {wrong}')
        try:
            action(parser, namespace, values, option_string)
        except (AssertionError, IndexError, RecursionError) as error:
            parser.error(f'{option_string}: {error} in {values}')


def add_options(parser: argparse.ArgumentParser, name: str, what: str) -> None:
    """Add an argument that overrides config entries."""
    parser.add_argument(
        name,
        nargs='+',
        action=KeyValues,
        default={},
        metavar='KEY=VALUE',
        help=f'override {what}',
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``config`` and ``--cfg-options``, for :func:`read_config`."""
    parser.add_argument('config', help='config file')
    add_options(
        parser,
        '--cfg-options',
        'config entries, e.g. train_dataloader.dataset.data_root=/data/coco',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add OpenMMLab's arguments of every run, for :func:`read_run_config`."""
    add_config_arguments(parser)
    parser.add_argument(
        '--work-dir', help='folder of logs and results; default work_dirs/NAME'
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    # torch.distributed.launch passes --local-rank, torchrun does not
    parser.add_argument('--local-rank', type=int, default=0)


def read_config(
    path: str | Path, options: Mapping[str, Any] | None = None
) -> 'Config':
    """Read a config, apply ``--cfg-options`` and set the default scope.

    Args:
        path: Config file; one of the package is found from every folder, as
            ``configs/freeseg/coco.py``.
        options: Entries to override, by dotted key.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If an option could have no effect.
        ValueError: If the file cannot be read, or an option not be set.
    """
    from mmengine.config import Config

    found = find_path(path)
    if not found.is_file():
        raise FileNotFoundError(f'no config file {str(path)!r}')
    register_configs()
    try:
        config = Config.fromfile(found)
    except RecursionError as error:
        raise ValueError(
            f'config file {found}: nested too deeply; does a _base_ lead '
            'back to the file?'
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f'config file {found}: {error}') from error
    except Exception as error:  # it is a program, which may raise anything
        raise ValueError(f'config file {found}: {reason_of(error)}') from error
    if options:
        apply_options(config, options)
    try:
        use_scope(config)
    except ValueError as error:
        raise ValueError(f'config file {found}: {error}') from error
    return config


def use_scope(config: 'Config') -> None:
    """Set the default scope of the registries.

    Raises:
        ValueError: If the config's is no text.
    """
    from mmengine.registry import init_default_scope

    scope = config.get('default_scope', 'mmdet')
    if not isinstance(scope, str) or not scope:
        raise ValueError(f'default_scope is {scope!r}, expected text')
    init_default_scope(scope)


def find_test_pipeline(config: 'Config') -> list[Any]:
    """Look up the transforms of the images that are tested, not copied.

    Raises:
        ValueError: If the config tests nothing, or has no such list.
    """
    from mmdet.utils import get_test_pipeline_cfg

    try:
        steps = get_test_pipeline_cfg(config)
    except (AttributeError, LookupError, RuntimeError, TypeError):
        steps = None
    if isinstance(steps, list) and steps:
        return steps
    raise ValueError(
        'expected test_dataloader.dataset.pipeline, a list that says how '
        'images are prepared, found test_dataloader='
        f'{reprlib.repr(config.get("test_dataloader"))}; begin the config '
        "with _base_ = ['configs/freeseg/coco.py'] or one like it"
    )


def apply_options(config: 'Config', options: Mapping[str, Any]) -> None:
    """Override entries of a config, in place.

    Args:
        config: The config.
        options: Values by dotted key.

    Raises:
        KeyError: If an option could have no effect; see
            :func:`check_options`.
        ValueError: If a value cannot stand where it is to.
    """
    check_options(config, options)
    try:
        config.merge_from_dict(dict(options))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'--cfg-options {", ".join(options)}: {reason_of(error)}'
        ) from error


def read_run_config(args: argparse.Namespace) -> 'Config':
    """Read the config of a run and apply the common arguments to it.

    Args:
        args: Of :func:`add_run_arguments`.

    Raises:
        FileNotFoundError: If the config file does not exist.
        KeyError: If an option could have no effect.
        ValueError: If the config asks for mmengine's checkpointing.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = read_config(args.config, args.cfg_options)
    if config.get('activation_checkpointing'):
        raise ValueError(
            f'{args.config}: activation_checkpointing: a module whose inputs '
            'are lists, or need no gradient, would get none without a word; '
            'set model.backbone.with_cp and model.panoptic_head.with_cp'
        )
    config.launcher = args.launcher
    if args.work_dir:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return config


def init_distributed_on_cpu(config: 'Config') -> None:
    """Set up processes without GPUs; mmengine's own way asks for CUDA.

    Does nothing for a single process or where there is a GPU.

    Raises:
        ValueError: If a launcher other than ``pytorch`` is asked for.
    """
    import torch

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
    strategy = config.get('strategy') or {}
    if strategy.get('type') == 'FSDPStrategy':
        wrapper = strategy.get('model_wrapper') or {}
        strategy['model_wrapper'] = {'device_id': 'cpu', **wrapper}


@cache
def run_settings() -> frozenset[str]:
    """Names a runner takes as arguments, or reads from the config itself."""
    from mmengine.runner import FlexibleRunner, Runner

    return frozenset(
        {
            *inspect.signature(Runner).parameters,
            *inspect.signature(FlexibleRunner).parameters,
            'activation_checkpointing',
            'compile',
            'efficient_conv_bn_eval',
            'find_unused_parameters',
            'model_wrapper_cfg',
            'runner_type',
            'sync_bn',
        }
        - {'cfg'}
    )


def check_options(config: 'Config', options: Mapping[str, Any]) -> None:
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
        if top not in run_settings():
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
