"""Multiply-adds of whatever runs, by PyTorch's own counter.

Counted are matrix products (also inside attention), convolutions and what
the backward pass makes of both. Not counted are element-wise operations,
norms, softmax, and bilinear sampling: resizing, crops, and the few points at
which deformable attention looks up its values (below one percent of the pixel
decoder's work; its linear layers do count).
"""

import ctypes
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    bmm_flop,
    mm_flop,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from freeseg_mm.models.clip import FrozenCLIP

from .meter import Probe

aten = torch.ops.aten


class MacCounter:
    """Count multiply-adds between laps.

    PyTorch's counter does not know the operators that a CPU takes for
    attention, nor the fused attention of ``nn.MultiheadAttention`` in eval
    mode, nor matrix times vector; their formulas are added.
    """

    def __init__(self) -> None:
        self._counter = FlopCounterMode(
            display=False, custom_mapping=_FORMULAS
        )
        self._counter.mod_tracker = _NoModules()  # type: ignore[assignment]
        self._last = 0

    def __enter__(self) -> 'MacCounter':
        self._counter.__enter__()
        self._last = 0
        return self

    def __exit__(self, *error: Any) -> None:
        self._counter.__exit__(*error)

    def lap(self) -> int:
        """Multiply-adds since the last call."""
        flops = self._counter.get_total_flops()
        since, self._last = flops - self._last, flops
        return since // 2

    @staticmethod
    def combine(one: int, other: int) -> int:
        """Multiply-adds add up."""
        return one + other


class _NoModules(nullcontext):
    """Tells PyTorch's counter that no module runs, whichever does.

    Its own tracker hooks all modules, and fails without gradients on views
    of parameters.
    """

    parents = frozenset({'Global'})


def _attention(
    query: Any, key: Any, value: Any, *args: Any, **kwargs: Any
) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    grad: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any
) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


def _self_attention(
    query: Any,
    key: Any,
    value: Any,
    embed_dim: int,
    num_heads: int,
    *args: Any,
    **kwargs: Any,
) -> int:
    """The projections in and out, and the attention between them."""
    batch, length = query[:2]
    heads = (batch, num_heads, length, embed_dim // num_heads)
    return (
        # three projections in, one out
        4 * mm_flop((batch * length, embed_dim), (embed_dim, embed_dim))
        + sdpa_flop_count(heads, heads, heads)
    )


def _matrix_vector(matrix: Any, vector: Any, *args: Any, **kwargs: Any) -> int:
    return mm_flop(matrix, (*vector, 1))


def _add_matrix_vector(
    start: Any, matrix: Any, vector: Any, *args: Any, **kwargs: Any
) -> int:
    return mm_flop(matrix, (*vector, 1))


def _dot(one: Any, other: Any, *args: Any, **kwargs: Any) -> int:
    return mm_flop((1, *one), (*other, 1))


def _add_products(
    start: Any, one: Any, other: Any, *args: Any, **kwargs: Any
) -> int:
    return bmm_flop(one, other)


def _add_product(
    start: Any, one: Any, other: Any, *args: Any, **kwargs: Any
) -> int:
    return mm_flop(one, other)


_FORMULAS = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        _attention_backward
    ),
    aten._native_multi_head_attention: _self_attention,
    aten._addmm_activation: _add_product,
    aten.addbmm: _add_products,
    aten.mv: _matrix_vector,
    aten.addmv: _add_matrix_vector,
    aten.dot: _dot,
}


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


TRAFFIC = ('CLIP images', 'text prompts', 'text tokens')


@contextmanager
def count_traffic(clip: FrozenCLIP) -> Iterator[Counter[str]]:
    """Count images, prompts and tokens that the towers compute.

    Tokens are those that pass the first block of the text tower: padding up
    to the length of the batch counts, what comes out of a cache does not.
    """
    counts: Counter[str] = Counter(dict.fromkeys(TRAFFIC, 0))
    visual = clip.clip.visual
    text = getattr(clip.clip, 'text', clip.clip)
    width = clip.text.width
    hooks = [
        # the entry of the tower, which one-pass classifiers use, too
        _count(_first_layer(visual), counts, 'CLIP images', len),
        _count(text.ln_final, counts, 'text prompts', len),
        _count(
            text.transformer.resblocks[0].mlp,
            counts,
            'text tokens',
            lambda x: x.numel() // width,
        ),
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def _first_layer(visual: nn.Module) -> nn.Module:
    """The layer all images enter by, also where a part of them leaves early.

    It is the first convolution of open_clip's ViTs and ResNets and of timm's
    trunks.
    """
    return next(x for x in visual.modules() if isinstance(x, nn.Conv2d))


def _count(
    module: nn.Module,
    counts: Counter[str],
    what: str,
    amount: Callable[[Tensor], int],
) -> Any:
    def add(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        counts[what] += amount(args[0])

    return module.register_forward_pre_hook(add)
