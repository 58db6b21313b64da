"""Quiet mmengine's logger for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger


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
