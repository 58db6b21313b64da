"""Errors of what a user wrote: whose they are, and numbers out of range."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from numbers import Integral, Real
from typing import Any

from .names import shown


def raised_here(error: BaseException) -> bool:
    """Tell an error that a module of this package raised."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get('__name__')).startswith('freeseg_mm.')


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
        if raised_here(error):
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
