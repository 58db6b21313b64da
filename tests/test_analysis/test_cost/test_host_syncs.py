import numpy as np
import pytest
import torch

from freeseg_mm.analysis.cost.probes import HostSyncCounter

CPU = torch.device('cpu')


def syncs_of(work):
    x = torch.tensor([0.5, 1.5, 2.5])
    with HostSyncCounter(CPU) as counter:
        work(x)
        return counter.lap()


def assign_through_mask(x):
    x[x > 1] = torch.rand(2)


def fill_through_mask(x):
    x[x > 1] = 0.0


def branch(x):
    return 1 if x.sum() > 1 else 0


@pytest.mark.parametrize(
    'work',
    [
        lambda x: x[0].item(),
        lambda x: int(x[0]),
        lambda x: float(x[0]),
        lambda x: f'{x[0]:.2f}',
        branch,
        lambda x: torch.equal(x, x),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        np.asarray,
        lambda x: x.cpu(),
        lambda x: x.to('cpu'),
        lambda x: x.to(device=torch.device('cpu')),
        lambda x: x.nonzero(),
        lambda x: torch.where(x > 1),
        lambda x: x.masked_select(x > 1),
        lambda x: x[x > 1],
        assign_through_mask,
        lambda x: x.unique(),
        lambda x: x.unique_consecutive(),
        lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])),
    ],
)
def test_waits_once(work):
    assert syncs_of(work) == 1


@pytest.mark.parametrize(
    'work',
    [
        lambda x: x * 2 + x.sum(),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.where(x > 1, 0.0),
        lambda x: x.masked_fill(x > 1, 0.0),
        fill_through_mask,
        lambda x: x.sort(),
        lambda x: x.topk(2),
        lambda x: x.to(torch.float64),
        lambda x: x.repeat_interleave(2),
        lambda x: x.shape[0],
        lambda x: list(x),
    ],
)
def test_does_not_wait(work):
    assert syncs_of(work) == 0


def test_what_the_host_has_is_free():
    assert syncs_of(lambda x: x.cpu().tolist()) == 1
    assert syncs_of(lambda x: x.cpu().numpy()) == 1


def test_sums_over_a_loop_and_tells_kinds():
    x = torch.arange(4)
    with HostSyncCounter(CPU) as counter:
        for value in x:
            value.item()
        x.tolist()
        assert counter.lap() == 5
        assert counter.lap() == 0
    assert counter.by_kind == {'item': 4, 'tolist': 1}


def test_counts_nothing_outside():
    counter = HostSyncCounter(CPU)
    x = torch.ones(1)
    x.item()
    with counter:
        x.item()
    x.item()
    assert counter.by_kind.total() == 1


def test_tensors_elsewhere_are_not_waited_for():
    with HostSyncCounter(torch.device('cuda')) as counter:
        torch.ones(1).item()
        torch.ones(2).tolist()
        assert counter.lap() == 0


@pytest.mark.gpu
def test_on_a_gpu():
    x = torch.ones(3, device='cuda')
    with HostSyncCounter(torch.device('cuda')) as counter:
        x.cpu().tolist()
        x[x > 0].sum().item()
        assert counter.lap() == 3
