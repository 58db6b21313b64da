"""Measuring passes: counts, then multiply-adds, seconds and bytes.

Each is a pass of its own, for what counts also slows down. All contenders
are measured in one process, and timed in turn, so that a ratio compares like
with like.
"""

import gc
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from tqdm import tqdm

from freeseg_mm.models.clip import FrozenCLIP

from .meter import Hotspot, Meter, Probe
from .options import KINDS
from .probes import (
    HostSyncCounter,
    MacCounter,
    PeakMemory,
    Stopwatch,
    count_traffic,
)

TOTAL = 'total'


@dataclass
class Contender:
    """One way to do the work.

    Attributes:
        name: Its name in tables and files.
        run: Does the work once.
        hotspots: Its parts.
        clip: The CLIP whose traffic is counted, if it has one.
        forget: Empties what it remembers between images; ``None`` if it
            remembers nothing. With it the first image is measured apart.
        costs: Filled in by :func:`measure`; see there.
    """

    name: str
    run: Callable[[], Any]
    hotspots: Sequence[Hotspot]
    clip: FrozenCLIP | None = None
    forget: Callable[[], Any] | None = None
    costs: dict[str, Any] = field(default_factory=dict)

    def states(self) -> list['_State']:
        """List the states to measure: one that has forgotten, and this."""
        state = _State(self, self.costs)
        if self.forget is None:
            return [state]
        return [_State(self, self.costs.setdefault('first', {}), True), state]


@dataclass(frozen=True)
class _State:
    """A contender that does or does not remember the run before."""

    contender: Contender
    costs: dict[str, Any]
    forgets: bool = False

    def measure(self, kind: str, device: torch.device) -> Any:
        """Cost of one run, see :func:`measure`."""
        contender = self.contender
        probe: Probe
        if kind == 'counts':
            probe = HostSyncCounter(device)
        elif kind == 'macs':
            probe = MacCounter()
        elif kind == 'seconds':
            probe = Stopwatch(device)
        else:
            probe = PeakMemory(device)
            if not probe.is_available:
                return None
        if self.forgets and contender.forget is not None:
            contender.forget()
        meter = Meter(probe)
        traffic: dict[str, int] = {}
        with ExitStack() as stack:
            if kind == 'counts' and contender.clip is not None:
                traffic = stack.enter_context(count_traffic(contender.clip))
            stack.enter_context(meter.watch(contender.hotspots))
            contender.run()
        total = reduce(probe.combine, meter.amounts.values())
        amounts = {**meter.amounts, TOTAL: total}
        if kind != 'counts':
            return amounts
        return {'calls': dict(meter.calls), 'host_syncs': amounts, **traffic}


def measure(
    contenders: Sequence[Contender],
    *,
    device: torch.device,
    runs: int,
    warmup: int,
    show: Callable[[str], None],
    kinds: Sequence[str] = KINDS,
) -> None:
    """Fill in the costs of all contenders.

    ``costs`` has an entry for each of ``kinds``: ``counts`` with ``calls``
    and ``host_syncs`` by part and the traffic of CLIP; ``macs``, ``seconds``
    (medians) and ``peak_bytes`` by part, all with a ``total``. ``first``
    holds the same for a contender that has forgotten everything. Bytes are
    ``None`` on a system that cannot tell.

    Args:
        contenders: Whose costs to measure.
        device: Device that they run on.
        runs: Timed runs of each contender.
        warmup: Runs before these.
        show: Called with the name of each kind as soon as all have it.
        kinds: Kinds of cost, of :data:`KINDS`.
    """
    states = [state for each in contenders for state in each.states()]
    rounds = dict.fromkeys(kinds, 1)
    if 'seconds' in rounds:
        rounds['seconds'] = warmup + runs
    if kinds[0] == 'peak_bytes':
        # in their first run libraries take memory for good
        for contender in contenders:
            contender.run()
    total = len(states) * sum(rounds.values())
    with tqdm(total=total, desc='passes', leave=False, disable=None) as bar:
        for kind in kinds:
            if kind == 'peak_bytes':
                # or what earlier runs left may be freed in between
                gc.collect()
            found: list[list[Any]] = [[] for _ in states]
            for _ in range(rounds[kind]):
                for state, costs in zip(states, found, strict=True):
                    costs.append(state.measure(kind, device))
                    bar.update()
            for state, costs in zip(states, found, strict=True):
                state.costs[kind] = costs[-1]
                if kind == 'seconds':
                    state.costs[kind] = {
                        part: statistics.median(x[part] for x in costs[-runs:])
                        for part in costs[-1]
                    }
            bar.clear()
            show(kind)
