"""The most memory held at once."""

import ctypes
from pathlib import Path

import torch

from .meter import Probe

STATUS = Path('/proc/self/status')
RESET = Path('/proc/self/clear_refs')
RESET_PEAK = '5'


class PeakMemory(Probe):
    """Peak of the bytes held between laps, above what was held at the start.

    On CUDA of the tensors on the device, elsewhere of the process: Linux
    keeps its largest resident size, which includes what libraries hold.

    Args:
        device: Where the model runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._probe = _Cuda(device) if device.type == 'cuda' else _Process()
        self._start = 0

    @property
    def is_available(self) -> bool:
        """Whether this system can tell."""
        return self._probe.is_available

    def __enter__(self) -> 'PeakMemory':
        self._start = self._probe.reset()
        return self

    def lap(self) -> int:
        """Peak since the last call, in bytes above the start."""
        peak = self._probe.peak()
        self._probe.reset()
        return max(0, peak - self._start)

    @staticmethod
    def combine(one: int, other: int) -> int:
        """Of several peaks the highest counts."""
        return max(one, other)


class _Cuda:
    is_available = True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> int:
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device)


class _Process:
    def __init__(self) -> None:
        self.is_available = _can_reset()

    def reset(self) -> int:
        # what the allocator keeps for later would hide the next peak
        trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
        if trim is not None:
            trim(0)
        RESET.write_text(RESET_PEAK)
        return self.peak()

    def peak(self) -> int:
        for line in STATUS.read_text().splitlines():
            if line.startswith('VmHWM:'):
                return 1024 * int(line.split()[1])
        raise AssertionError('checked by is_available')


def _can_reset() -> bool:
    try:
        RESET.write_text(RESET_PEAK)
        return 'VmHWM:' in STATUS.read_text()
    except OSError:
        return False
