"""Put a callable in the place of another, for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any


@contextmanager
def replaced(
    owner: Any, attribute: str, make: Callable[[Callable], Callable]
) -> Iterator[None]:
    """Replace a method or function of one object, not of its class.

    Args:
        owner: A module, object or Python module.
        attribute: Name of what is replaced.
        make: Makes the replacement out of the original.
    """
    original = getattr(owner, attribute)
    is_own = attribute in vars(owner)
    setattr(owner, attribute, wraps(original)(make(original)))
    try:
        yield
    finally:
        if is_own:
            setattr(owner, attribute, original)
        else:
            delattr(owner, attribute)
