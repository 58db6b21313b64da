"""Errors of what a user wrote or trained: whose they are, what is wrong."""

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dis import opname
from math import isfinite
from numbers import Integral, Real
from typing import Any

from .names import printable, shown

_RAISE = 'RAISE_VARARGS'


def raised_here(error: BaseException) -> bool:
    """Tell an error that a module of this package raised."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get('__name__')).startswith('freeseg_mm.')


def _by_statement(error: BaseException) -> bool:
    """Tell a ``raise`` from what Python says of a value of a wrong type."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    return opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == _RAISE


def sentence_of(error: BaseException) -> str:
    """Message of an error, for a terminal."""
    if isinstance(error, KeyError):
        # str() of it is its message in quotes
        return printable(str(error.args[0]))
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f'{shown(error.filename)}: {error.strerror}')
    return printable(str(error))


def reason_of(error: BaseException) -> str:
    """First line of an error's message, with the type where it says much."""
    if isinstance(error, SyntaxError):
        return f'line {error.lineno}: {error.msg}'
    message = error.args[0] if isinstance(error, KeyError) else error
    line = str(message).strip().partition('\n')[0]
    name = type(error).__name__
    return f'{name}: {line}' if line else name


@contextmanager
def building(what: str) -> Iterator[None]:
    """Build something of a config; libraries trip over odd ones anyhow.

    Args:
        what: Its name in messages.

    Raises:
        ValueError: In place of what another library raises, but for missing
            files and packages.
    """
    try:
        yield
    except (OSError, ImportError):
        raise
    except Exception as error:
        if raised_here(error) and _by_statement(error):
            raise
        raise ValueError(
            f'the config builds no {what} ({reason_of(error)})'
        ) from error


def require_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least ``least``.

    Raises:
        ValueError: Naming it.
    """
    if (
        not isinstance(value, Integral)
        or isinstance(value, bool)
        or not least <= int(value) <= sys.maxsize
    ):
        raise ValueError(
            f'{name}: expected at least {least}, a whole number below 2**63, '
            f'got {shown(value)}'
        )


def is_number(value: Any) -> bool:
    """Tell a finite number; true and false are none."""
    return (
        isinstance(value, Real)
        and not isinstance(value, bool)
        and isfinite(value)
    )


def require_share(name: str, value: Any) -> None:
    """Refuse what is no number in [0, 1].

    Raises:
        ValueError: Naming it.
    """
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(
            f'{name}: expected a number in [0, 1], got {shown(value)}'
        )


class DivergedError(FloatingPointError):
    """NaN or infinite losses, matching costs or weights of a training."""

    @classmethod
    def of(cls, found: str) -> 'DivergedError':
        """Say what is not finite, in which iteration, and what to try.

        Args:
            found: What is NaN or infinite.

        Returns:
            The error; its iteration is the one mmengine's runner is at,
            counted from 1 as in its logs.
        """
        # --help reads this module, and loads no mmengine
        from mmengine.logging import MessageHub

        hub = MessageHub.get_current_instance()
        iteration = hub.runtime_info.get('iter', 0) + 1
        return cls(
            f'training has diverged in iteration {iteration}, with NaN or '
            f'infinite {found}, and stops with the checkpoints as they are: '
            'go on from the last one with a lower learning rate '
            '(optim_wrapper.optimizer.lr), clipped gradients '
            '(optim_wrapper.clip_grad.max_norm) or, with --amp, without it'
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell that a GPU or the CPU had no room for a tensor or an array."""
    # PyTorch's by its name: --help reads this module, and loads no torch
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == 'OutOfMemoryError'
        or 'DefaultCPUAllocator' in str(error)
    )


def memory_advice(
    error: BaseException,
    config: Mapping[str, Any],
    *,
    iteration: int,
    training: bool,
) -> str:
    """Say where a training ran out of memory, and what takes less.

    Args:
        error: One that :func:`is_out_of_memory` tells.
        config: Of the run.
        iteration: In which it came, counted from 1.
        training: Whether in a step of training, not in validation.

    Returns:
        A sentence that names what the config has not turned down yet.
    """
    loader = 'train_dataloader' if training else 'val_dataloader'
    batch = config[loader]['batch_size']
    less = [f'{loader}.batch_size={batch // 2}'] if batch > 1 else []
    if training:
        side = 'x'.join(map(str, config.get('crop_size', ())))
        where, size = 'iteration', f' and {side} pixels' if side else ''
        wrapper = config['optim_wrapper']
        counts = 2 * wrapper.get('accumulative_counts', 1)
        if less:
            less[0] += (
                f' with optim_wrapper.accumulative_counts={counts} (an update '
                'has as many images, so twice the iterations)'
            )
        less += [
            f'model.{part}.with_cp=True'
            for part in ('backbone', 'panoptic_head')
            if not config['model'][part].get('with_cp')
            and not config['model'][part]['type'].endswith('CLIPBackbone')
        ]
        if (
            not config['model']
            .get('train_cfg', {})
            .get('num_negative_classes')
        ):
            less.append('model.train_cfg.num_negative_classes=32')
        if wrapper['type'] == 'OptimWrapper':
            less.append('--amp on a GPU')
        less.append('a smaller crop_size')
    else:
        where, size = 'validation after iteration', ''
        less.append('a smaller test_size')
    return (
        f'out of memory in {where} {iteration}, with a batch_size of {batch}'
        f'{size} ({reason_of(error)}). Less takes: {", ".join(less)}; see '
        'configs/_base_/large.py. --resume goes on from the last checkpoint'
    )
