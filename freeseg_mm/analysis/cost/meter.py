"""Cost of each part of a run, without the parts that run inside it."""

import operator
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from types import MethodType
from typing import Any

from torch import nn

OTHER = 'other'
"""Part of all that runs in no named part."""


@contextmanager
def replaced(
    method: Callable, make: Callable[[Callable], Callable]
) -> Iterator[None]:
    """Replace a method of one object, not of its class.

    Args:
        method: The bound method.
        make: Makes the replacement, which takes the same arguments, out of
            the method that the object has now.
    """
    owner, name = method.__self__, method.__name__  # type: ignore
    before = getattr(owner, name)
    is_own = name in vars(owner)
    new = make(before)

    @wraps(before)
    def call(_: Any, *args: Any, **kwargs: Any) -> Any:
        return new(*args, **kwargs)

    setattr(owner, name, MethodType(call, owner))
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


class Probe(ABC):
    """Measures what happened between two calls of :meth:`lap`."""

    combine: Callable[[Any, Any], Any] = staticmethod(operator.add)
    """Amount of two stretches together."""

    def __enter__(self) -> Any:
        """Begin to measure."""
        self.lap()
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop measuring; by default there is nothing to stop."""
        return None

    @abstractmethod
    def lap(self) -> Any:
        """Amount since the last call, or since the beginning."""


@dataclass(frozen=True)
class Hotspot:
    """A callable that belongs to a part.

    Attributes:
        part: Name of the part.
        target: A module, whose forward pass is meant, or a bound method.

    Raises:
        TypeError: If the target is neither.
    """

    part: str
    target: nn.Module | Callable

    def __post_init__(self) -> None:
        if not isinstance(self.target, nn.Module | MethodType):
            raise TypeError(
                f'{self.part}: expected a module or a bound method, got '
                f'{self.target!r}'
            )


class Meter:
    """Record an amount and the number of calls for each part of a run.

    A part that runs inside another is not counted to it, so the amounts of
    all parts together are the whole. A part inside itself is one call.

    Args:
        probe: The measure to take.

    Attributes:
        amounts: Amount by part.
        calls: Calls by part.
    """

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.amounts: dict[str, Any] = {}
        self.calls: Counter[str] = Counter()
        self._running = [OTHER]

    @contextmanager
    def watch(self, hotspots: Iterable[Hotspot]) -> Iterator[None]:
        """Measure while these callables are watched.

        Modules get hooks, methods are replaced on their objects; in the end
        all are as they were.
        """
        with ExitStack() as undo:
            for hotspot in hotspots:
                part, target = hotspot.part, hotspot.target
                if isinstance(target, nn.Module):
                    for hook in self._hooks(part, target):
                        undo.callback(hook.remove)
                else:
                    wrap = partial(self._watched, part)
                    undo.enter_context(replaced(target, wrap))
            undo.enter_context(self.probe)
            yield
            self._credit()

    def _hooks(self, part: str, module: nn.Module) -> tuple[Any, Any]:
        return (
            module.register_forward_pre_hook(lambda *_: self._begin(part)),
            module.register_forward_hook(
                lambda *_: self._end(), always_call=True
            ),
        )

    def _watched(self, part: str, method: Callable) -> Callable:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._begin(part)
            try:
                return method(*args, **kwargs)
            finally:
                self._end()

        return watched

    def _begin(self, part: str) -> None:
        self._credit()
        if part not in self._running:
            self.calls[part] += 1
        self._running.append(part)

    def _end(self) -> None:
        self._credit()
        self._running.pop()

    def _credit(self) -> None:
        name, amount = self._running[-1], self.probe.lap()
        if name in self.amounts:
            amount = self.probe.combine(self.amounts[name], amount)
        self.amounts[name] = amount
