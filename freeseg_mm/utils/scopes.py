"""Contexts that change a setting of the process and put it back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from mmengine.logging import MMLogger


def full_precision(device: torch.device) -> torch.autocast | nullcontext:
    """Context in which autocast is off, on a device of any type."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


@contextmanager
def quiet_logger(level: str = 'ERROR') -> Iterator[None]:
    """Let the current logger say nothing below ``level`` for a while.

    mmengine logs, for instance, a paragraph for each parameter that it
    initializes. The logger's own level is back afterwards, in a program
    that goes on with it.

    Args:
        level: Name of the least level that is still logged.
    """
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators that transforms draw from; restore them after.

    Args:
        seed: In [0, 2**32), what NumPy takes.
    """
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.random.default_generator.manual_seed(seed)
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
