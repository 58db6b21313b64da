"""Measure sides: counts, then multiply-adds, seconds and bytes.

Each is a pass of its own, for what counts also slows down. All sides are
measured in one process, and timed in turn, so that a ratio compares like
with like.
"""

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from freeseg_mm.models.clip import FrozenCLIP

from .meter import Hotspot, Meter, Probe
from .probes import (
    HostSyncCounter,
    MacCounter,
    PeakMemory,
    Stopwatch,
    count_traffic,
)

TOTAL = 'total'
KINDS = ('counts', 'macs', 'seconds', 'peak_bytes')


@dataclass
class Contender:
    """One way to do the work.

    Attributes:
        name: What to call it.
        run: Does the work once.
        places: Its parts.
        clip: The CLIP whose traffic is counted, if it has one.
        forget: Empties what it remembers between images; ``None`` if it
            remembers nothing. With it the first image is measured apart.
        costs: Filled in by :func:`measure_sides`; see there.
    """

    name: str
    run: Callable[[], Any]
    places: Sequence[Hotspot]
    clip: FrozenCLIP | None = None
    forget: Callable[[], Any] | None = None
    costs: dict[str, Any] = field(default_factory=dict)


def measure_sides(
    sides: Sequence[Contender],
    *,
    device: torch.device,
    runs: int,
    warmup: int,
    show: Callable[[str], None],
    kinds: Sequence[str] = KINDS,
) -> None:
    """Fill in the costs of all sides.

    ``costs`` has an entry for each of ``kinds``: ``counts`` with ``calls``
    and ``host_syncs`` by part and the traffic of CLIP; ``macs``, ``seconds``
    (medians) and ``peak_bytes`` by part, all with a ``total``. ``first``
    holds the same for a side that has forgotten everything. Bytes are
    ``None`` on a system that cannot tell.

    Args:
        sides: What to measure.
        device: Where they run.
        runs: Timed runs of each side.
        warmup: Runs before these.
        show: Is given the name of each kind as soon as all sides have it.
        kinds: What to measure, of :data:`KINDS`.
    """
    measures = {
        'counts': lambda states: _counts(states, device),
        'macs': _macs,
        'seconds': lambda states: _seconds(states, device, runs, warmup),
        'peak_bytes': lambda states: _peak_bytes(states, device),
    }
    states = [
        _State(side, forget)
        for side in sides
        for forget in ([True, False] if side.forget else [False])
    ]
    amount = {'counts': 1, 'macs': 1, 'seconds': runs + warmup}
    total = len(states) * sum(amount.get(kind, 1) for kind in kinds)
    if kinds[0] == 'peak_bytes':
        # in their first run libraries take memory for good
        for side in sides:
            side.run()
    with tqdm(total=total, desc='passes', leave=False, disable=None) as bar:
        for kind in kinds:
            for _ in measures[kind](states):
                bar.update()
            bar.clear()
            show(kind)


@dataclass(frozen=True)
class _State:
    """A side that does or does not remember the run before."""

    side: Contender
    forgets: bool

    @property
    def costs(self) -> dict[str, Any]:
        costs = self.side.costs
        return costs.setdefault('first', {}) if self.forgets else costs

    def measure(self, probe: Probe) -> tuple[dict[str, Any], dict[str, int]]:
        """Amounts by part with their total, and calls by part."""
        if self.forgets and self.side.forget is not None:
            self.side.forget()
        meter = Meter(probe)
        with meter.watch(self.side.places):
            self.side.run()
        amounts = dict(meter.amounts)
        total = None
        for amount in amounts.values():
            total = amount if total is None else probe.combine(total, amount)
        return {**amounts, TOTAL: total}, dict(meter.calls)


def _counts(states: Sequence[_State], device: torch.device) -> Iterator[None]:
    for state in states:
        with ExitStack() as stack:
            traffic: dict[str, int] = {}
            if state.side.clip is not None:
                traffic = stack.enter_context(count_traffic(state.side.clip))
            host_syncs, calls = state.measure(HostSyncCounter(device))
        state.costs['counts'] = {
            'calls': calls,
            'host_syncs': host_syncs,
            **traffic,
        }
        yield


def _macs(states: Sequence[_State]) -> Iterator[None]:
    for state in states:
        state.costs['macs'], _ = state.measure(MacCounter())
        yield


def _seconds(
    states: Sequence[_State], device: torch.device, runs: int, warmup: int
) -> Iterator[None]:
    timed: dict[int, list[dict[str, float]]] = {}
    for run in range(warmup + runs):
        for index, state in enumerate(states):
            seconds, _ = state.measure(Stopwatch(device))
            if run >= warmup:
                timed.setdefault(index, []).append(seconds)
            yield
    for index, state in enumerate(states):
        state.costs['seconds'] = {
            part: statistics.median(run[part] for run in timed[index])
            for part in timed[index][0]
        }


def _peak_bytes(
    states: Sequence[_State], device: torch.device
) -> Iterator[None]:
    gc.collect()  # or what earlier runs left may be freed in between
    for state in states:
        probe = PeakMemory(device)
        state.costs['peak_bytes'] = None
        if probe.is_available:
            state.costs['peak_bytes'], _ = state.measure(probe)
        yield
