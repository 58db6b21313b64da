"""Work that autocast shall leave alone."""

from contextlib import nullcontext

import torch


def full_precision(device: torch.device) -> torch.autocast | nullcontext:
    """Context in which autocast is off, on a device of any type."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
