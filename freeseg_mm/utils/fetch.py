"""Bring values to the host in one go."""

from collections.abc import Sequence

import torch
from torch import Tensor


def fetch(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copy small tensors to the CPU in a single transfer.

    Args:
        tensors: Of any shapes, on one device; bool, integers below 2^53 or
            floats.

    Returns:
        The same values on the CPU, float64.
    """
    if not tensors:
        return []
    flat = torch.cat([x.double().flatten() for x in tensors]).cpu()
    parts = flat.split([x.numel() for x in tensors])
    return [part.view(x.shape) for part, x in zip(parts, tensors, strict=True)]
