"""Multiply-adds of whatever runs, by PyTorch's own counter.

Counted are matrix products (also inside attention), convolutions and what
the backward pass makes of both. Not counted are element-wise operations,
norms, softmax, and bilinear sampling: resizing, crops, and the few points at
which deformable attention looks up its values (below one percent of the pixel
decoder's work; its linear layers do count).
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    bmm_flop,
    mm_flop,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

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
