"""Probes: multiply-adds, host syncs, memory, seconds, and CLIP's traffic."""

import ctypes
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
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


class MacCounter(Probe):
    """Count multiply-adds between laps, by PyTorch's own counter.

    Counted are matrix products (also inside attention), convolutions and
    what the backward pass makes of both. Not counted are element-wise
    operations, norms, softmax, and bilinear sampling: resizing, crops, and
    the few points at which deformable attention looks up its values (below
    one percent of the pixel decoder's work; its linear layers do count).

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


class _NoModules(nullcontext):
    """Tells PyTorch's counter that no module runs.

    Its own tracker hooks all modules, and fails without gradients on views
    of parameters.
    """

    parents = frozenset({'Global'})


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any
) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


def _self_attention(
    query: Any,
    key: Any,
    value: Any,
    width: int,
    heads: int,
    *_: Any,
    **__: Any,
) -> int:
    """Three projections in, one out, and the attention between them."""
    batch, length = query[:2]
    of_head = (batch, heads, length, width // heads)
    projection = mm_flop((batch * length, width), (width, width))
    return 4 * projection + sdpa_flop_count(of_head, of_head, of_head)


def _matrix_vector(matrix: Any, vector: Any, *_: Any, **__: Any) -> int:
    return mm_flop(matrix, (*vector, 1))


_FORMULAS = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        _attention_backward
    ),
    aten._native_multi_head_attention: _self_attention,
    # a first argument that is added to the product
    aten._addmm_activation: lambda _, *args, **__: mm_flop(*args[:2]),
    aten.addbmm: lambda _, *args, **__: bmm_flop(*args[:2]),
    aten.addmv: lambda _, *args, **__: _matrix_vector(*args[:2]),
    aten.mv: _matrix_vector,
    aten.dot: lambda one, *args, **__: _matrix_vector((1, *one), args[0]),
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


class HostSyncCounter(Probe):
    """Count host syncs between laps: waits of the host for the device.

    A GPU has to finish its work before the host knows a value, the length
    of a result that depends on values, or the content of a tensor. On a CPU
    the same operations are counted, though nothing waits.

    Args:
        device: Device of the model; tensors elsewhere are not waited for.

    Attributes:
        by_kind: Syncs by the operation that caused them.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.by_kind: Counter[str] = Counter()
        self._on_host: weakref.WeakValueDictionary[int, Tensor] = (
            weakref.WeakValueDictionary()
        )
        self._modes = ExitStack()
        self._last = 0

    def __enter__(self) -> 'HostSyncCounter':
        self.by_kind.clear()
        self._last = 0
        self._modes.enter_context(_Operators(self))
        self._modes.enter_context(_Methods(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.close()

    def lap(self) -> int:
        """Host syncs since the last call."""
        total = self.by_kind.total()
        since, self._last = total - self._last, total
        return since

    def add(self, kind: str, tensor: Tensor) -> None:
        """Count a read of a tensor, unless the host has it."""
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
    """Methods that read a tensor's memory without an operator, or move it."""

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
    """Tell if indexing looks for the places where a mask is true."""
    if value is not None and value.numel() == 1:
        return False  # PyTorch fills such a mask without looking
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
        device: Device of the model.
    """

    combine = staticmethod(max)

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._on_cuda = device.type == 'cuda'
        self._start = 0

    @property
    def is_available(self) -> bool:
        """This system tells the peak."""
        if self._on_cuda:
            return True
        try:
            RESET.write_text(RESET_PEAK)
            return 'VmHWM:' in STATUS.read_text()
        except OSError:
            return False

    def __enter__(self) -> 'PeakMemory':
        self._reset()
        self._start = self._peak()
        return self

    def lap(self) -> int:
        """Peak since the last call, in bytes above the start."""
        peak = self._peak()
        self._reset()
        return max(0, peak - self._start)

    def _reset(self) -> None:
        if self._on_cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        # what the allocator keeps for later would hide the next peak
        trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
        if trim is not None:
            trim(0)
        RESET.write_text(RESET_PEAK)

    def _peak(self) -> int:
        if self._on_cuda:
            torch.cuda.synchronize(self.device)
            return torch.cuda.max_memory_allocated(self.device)
        _, _, rest = STATUS.read_text().partition('VmHWM:')
        return 1024 * int(rest.split()[0])


class Stopwatch(Probe):
    """Seconds between laps; a GPU finishes its work before each.

    Args:
        device: Device of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._last = 0.0

    def lap(self) -> float:
        """Seconds since the last call."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        now = perf_counter()
        since, self._last = now - self._last, now
        return since


TRAFFIC = ('CLIP images', 'text prompts', 'text tokens')


@contextmanager
def count_traffic(clip: FrozenCLIP) -> Iterator[Counter[str]]:
    """Count images, prompts and tokens that the towers compute.

    Tokens are those that pass the first block of the text tower: padding up
    to the length of the batch counts, what comes out of a cache does not.
    """
    counts: Counter[str] = Counter(dict.fromkeys(TRAFFIC, 0))
    text = getattr(clip.clip, 'text', clip.clip)
    width = clip.text.width

    def count(module: nn.Module, what: str, unit: int = 0) -> None:
        """Count the rows of what a module takes, or its units of numbers."""

        def add(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            counts[what] += args[0].numel() // unit if unit else len(args[0])

        undo.callback(module.register_forward_pre_hook(add).remove)

    with ExitStack() as undo:
        # the layer all images enter by, also where a part of them leaves
        # early: a convolution in open_clip's ViTs and ResNets and in timm's
        count(
            next(
                module
                for module in clip.clip.visual.modules()
                if isinstance(module, nn.Conv2d)
            ),
            'CLIP images',
        )
        count(text.ln_final, 'text prompts')
        count(text.transformer.resblocks[0].mlp, 'text tokens', width)
        yield counts
