"""Seconds of work, also where work is queued."""

from time import perf_counter

import torch

from .meter import Probe


class Stopwatch(Probe):
    """Seconds between laps; a GPU finishes its work before each.

    Args:
        device: Where the model runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._last = 0.0

    def __enter__(self) -> 'Stopwatch':
        self.lap()
        return self

    def lap(self) -> float:
        """Seconds since the last call."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        now = perf_counter()
        since, self._last = now - self._last, now
        return since

    @staticmethod
    def combine(one: float, other: float) -> float:
        """Seconds add up."""
        return one + other
