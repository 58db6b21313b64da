"""A module that moves with its owner but is none of its parameters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class HiddenModule(nn.Module):
    """Keep a frozen module out of state dict, optimizer, DDP and EMA.

    The held module follows ``to``, ``cuda``, ``half`` and the like and
    stays in eval mode.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._holder = [module]

    @property
    def module(self) -> nn.Module:
        """The held module."""
        return self._holder[0]

    def _apply(
        self,
        fn: Callable[[torch.Tensor], torch.Tensor],
        *args: Any,
        **kwargs: Any,
    ) -> 'HiddenModule':
        self.module._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)
