import pytest
import torch
import torch.nn.functional as F
from torch import nn

from freeseg_mm.analysis.cost.probes import MacCounter


def macs_of(work):
    with MacCounter() as counter:
        work()
        return counter.lap()


def test_linear():
    # 5 rows x 3 inputs x 7 outputs
    assert macs_of(lambda: nn.Linear(3, 7)(torch.rand(5, 3))) == 105


def test_linear_with_backward():
    rows = torch.rand(5, 3, requires_grad=True)
    # the same number again for the rows' and for the weights' gradient
    assert macs_of(lambda: nn.Linear(3, 7)(rows).sum().backward()) == 315


def test_convolution():
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    # 4 x 4 outputs of 3 channels, each from 2 channels x 3 x 3
    assert macs_of(lambda: layer(torch.rand(1, 2, 8, 8))) == 4 * 4 * 3 * 18


def test_grouped_convolution():
    layer = nn.Conv2d(4, 4, 3, groups=4, padding=1)
    assert macs_of(lambda: layer(torch.rand(1, 4, 8, 8))) == 64 * 4 * 9


@pytest.mark.parametrize('batch_dims', [(2,), (2, 1)])
def test_fused_attention(batch_dims):
    """4 dimensions take a fused operator, 5 are spelled out."""
    query = torch.rand(*batch_dims, 3, 5, 8)
    memory = torch.rand(*batch_dims, 3, 7, 8)
    work = lambda: F.scaled_dot_product_attention(query, memory, memory)  # noqa: E731
    # scores and sums, for 2 x 3 heads: 5 queries x 7 keys x 8 channels
    assert macs_of(work) == 2 * 3 * 2 * 5 * 7 * 8


def test_fused_attention_with_mask():
    query = torch.rand(2, 3, 5, 8)
    mask = torch.rand(5, 5)
    work = lambda: F.scaled_dot_product_attention(query, query, query, mask)  # noqa: E731
    assert macs_of(work) == 2 * 3 * 2 * 5 * 5 * 8


def test_fused_attention_backward():
    query = torch.rand(2, 3, 5, 8, requires_grad=True)
    work = lambda: (  # noqa: E731
        F.scaled_dot_product_attention(query, query, query).sum().backward()
    )
    forward = 2 * 3 * 2 * 5 * 5 * 8
    # the scores anew, then gradients of values, weights, queries and keys
    assert macs_of(work) == forward + forward // 2 * 5


@pytest.mark.parametrize('with_gradient', [False, True])
def test_multihead_attention(with_gradient):
    """Without gradients PyTorch takes one operator for the whole layer."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.rand(3, 5, 8)
    projections = 4 * 3 * 5 * 8 * 8
    attention = 3 * 2 * 2 * 5 * 5 * 4
    with torch.set_grad_enabled(with_gradient):
        macs = macs_of(lambda: layer(x, x, x, need_weights=False))
    assert macs == projections + attention


@pytest.mark.parametrize(
    ('equation', 'shapes', 'expected'),
    [
        ('bnc,bchw->bnhw', [(2, 3, 4), (2, 4, 5, 5)], 2 * 3 * 4 * 25),
        ('bqhc,phc->bhqp', [(2, 5, 3, 4), (7, 3, 4)], 2 * 5 * 3 * 4 * 7),
        ('ij,j->i', [(3, 4), (4,)], 12),
    ],
)
def test_einsum(equation, shapes, expected):
    tensors = [torch.rand(shape) for shape in shapes]
    assert macs_of(lambda: torch.einsum(equation, *tensors)) == expected


def test_vectors():
    assert macs_of(lambda: torch.rand(3, 4) @ torch.rand(4)) == 12
    assert macs_of(lambda: torch.rand(4) @ torch.rand(4)) == 4


def test_elementwise_work_does_not_count():
    x = torch.rand(4, 4)
    assert (
        macs_of(
            lambda: (x * x).softmax(-1).sum() + F.layer_norm(x, (4,)).sum()
        )
        == 0
    )


def test_laps_are_what_happened_since():
    layer = nn.Linear(3, 7)
    with MacCounter() as counter:
        layer(torch.rand(5, 3))
        assert counter.lap() == 105
        layer(torch.rand(1, 3))
        assert counter.lap() == 21
        assert counter.lap() == 0


def test_views_of_parameters_without_gradient():
    """PyTorch's own module tracker fails on them."""
    norm, weight = nn.LayerNorm(4), nn.Parameter(torch.rand(3, 4))
    with torch.no_grad():
        assert macs_of(lambda: norm(weight.expand(2, -1, -1))) == 0
