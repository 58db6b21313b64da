"""How often the host would have to wait for a device.

On a GPU work is queued, and the host runs ahead until it asks for a value or
for a tensor whose size depends on values. Each such question is counted once,
on any device, so that it can be found on a CPU too:

- one value: ``item``, ``bool``, ``int``, ``float``, ``torch.equal``, and
  everything that ends in them;
- a whole tensor: ``tolist``, ``numpy``, ``cpu``, ``to('cpu')``;
- a shape made of values: ``nonzero``, one-armed ``where``,
  ``masked_select``, indexing with a boolean mask, assigning a tensor through
  one, ``unique``, ``repeat_interleave`` with counts in a tensor.

Filling a constant through a mask needs no answer and does not count, nor does
reading again what ``cpu`` already brought. Copies to the device are not
counted, nor what a C++ or CUDA extension does inside. On a GPU only tensors
of the GPU are asked about; on a CPU those that code keeps there on purpose
cannot be told from the rest and count, too, so the number is an upper bound.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

OPERATORS = {
    aten._local_scalar_dense: 'item',
    aten.equal: 'equal',
    aten.nonzero: 'nonzero',
    aten.masked_select: 'masked_select',
    aten._unique: 'unique',
    aten._unique2: 'unique',
    aten.unique_dim: 'unique',
    aten.unique_consecutive: 'unique',
    aten.unique_dim_consecutive: 'unique',
}
INDEXING = (aten.index, aten.index_put, aten.index_put_)
WHOLE_TENSOR = {
    Tensor.tolist: 'tolist',
    Tensor.numpy: 'numpy',
    Tensor.__array__: 'numpy',
    Tensor.cpu: 'cpu',
    Tensor.to: 'cpu',
}


class HostSyncCounter:
    """Count host syncs between laps; see the module for what is one.

    Args:
        device: Where the model runs; tensors elsewhere are not waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.by_kind: Counter[str] = Counter()
        self._on_host: weakref.WeakValueDictionary[int, Tensor] = (
            weakref.WeakValueDictionary()
        )
        self._modes = (_Operators(self), _Methods(self))
        self._last = 0

    def __enter__(self) -> 'HostSyncCounter':
        self.by_kind.clear()
        self._last = 0
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    def lap(self) -> int:
        """Host syncs since the last call."""
        total = self.by_kind.total()
        since, self._last = total - self._last, total
        return since

    @staticmethod
    def combine(one: int, other: int) -> int:
        """Host syncs add up."""
        return one + other

    def add(self, kind: str, tensor: Tensor) -> None:
        """Count a question about a tensor, unless the host has it."""
        on_device = tensor.device.type == self.device.type
        if on_device and self._on_host.get(id(tensor)) is not tensor:
            self.by_kind[kind] += 1

    def keep(self, tensor: Tensor) -> None:
        """Remember that the host has this tensor."""
        self._on_host[id(tensor)] = tensor


class _Operators(TorchDispatchMode):
    def __init__(self, counter: HostSyncCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        operator = func.overloadpacket
        if operator in OPERATORS:
            self.counter.add(OPERATORS[operator], args[0])
        elif operator in INDEXING and _depends_on_mask(*args[1:3]):
            self.counter.add('mask index', args[0])
        elif (
            operator is aten.repeat_interleave
            and (kwargs or {}).get('output_size') is None
        ):
            self.counter.add('repeat_interleave', args[0])
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    """What reads a tensor's memory without an operator, or moves it."""

    def __init__(self, counter: HostSyncCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = _kind(func, args, kwargs)
        if kind is not None:
            self.counter.add(kind, args[0])
        result = func(*args, **kwargs)
        if kind == 'cpu':
            self.counter.keep(result)
        return result


def _kind(func: Callable, args: Sequence, kwargs: dict) -> str | None:
    try:
        kind = WHOLE_TENSOR.get(func)
    except TypeError:  # not hashable, so none of ours
        return None
    if func is Tensor.to:
        targets = [*args[1:2], kwargs.get('device')]
        if not any(
            isinstance(target, str | torch.device)
            and torch.device(target).type == 'cpu'
            for target in targets
        ):
            return None
    return kind


def _depends_on_mask(indices: Sequence, value: Tensor | None = None) -> bool:
    """Whether indexing asks where a mask is true."""
    if value is not None and value.numel() == 1:
        return False  # PyTorch fills such a mask without asking
    return any(
        index is not None and index.dtype in (torch.bool, torch.uint8)
        for index in indices
    )
