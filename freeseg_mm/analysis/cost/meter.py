"""What each part of a model costs, without what runs inside it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from types import TracebackType
from typing import Any, Protocol


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


OTHER = 'other'
"""Part of all that runs in no named part."""


class Probe(Protocol):
    """Measures what happened between two calls of :meth:`lap`."""

    def __enter__(self) -> Any:
        """Begin to measure."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop measuring; by default there is nothing to stop."""
        return None

    def lap(self) -> Any:
        """Amount since the last call, or since the beginning."""

    @staticmethod
    def combine(one: Any, other: Any) -> Any:
        """Amount of two stretches together."""


@dataclass(frozen=True)
class Hotspot:
    """A callable that belongs to a part.

    Attributes:
        part: Name of the part.
        owner: A module, object or Python module; only this very object is
            touched, not its class.
        attribute: Name of the method or function.
    """

    part: str
    owner: Any
    attribute: str


class Meter:
    """Record an amount and the number of calls for each part of a run.

    A part that runs inside another is not counted to it, so the amounts of
    all parts together are the whole. A part inside itself is one call.

    Args:
        probe: What to measure.

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
    def part(self, name: str) -> Iterator[None]:
        """Credit what runs inside to a part."""
        self._credit()
        if name not in self._running:
            self.calls[name] += 1
        self._running.append(name)
        try:
            yield
        finally:
            self._credit()
            self._running.pop()

    @contextmanager
    def watch(self, places: Iterable[Hotspot]) -> Iterator[None]:
        """Measure while the callables at these places are watched.

        They are replaced on their owners and put back in the end.
        """
        with ExitStack() as undo:
            for place in places:
                undo.enter_context(
                    replaced(
                        place.owner,
                        place.attribute,
                        partial(self._watched, place.part),
                    )
                )
            undo.enter_context(self.probe)
            yield
            self._credit()

    def _credit(self) -> None:
        name, amount = self._running[-1], self.probe.lap()
        if name in self.amounts:
            amount = self.probe.combine(self.amounts[name], amount)
        self.amounts[name] = amount

    def _watched(self, part: str, original: Callable) -> Callable:
        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return original(*args, **kwargs)

        return watched
