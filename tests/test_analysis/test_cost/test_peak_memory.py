import pytest
import torch

from freeseg_mm.analysis.cost import probes as memory
from freeseg_mm.analysis.cost.probes import PeakMemory

MIB = 2**20


@pytest.fixture
def probe():
    probe = PeakMemory(torch.device('cpu'))
    if not probe.is_available:
        pytest.skip('this system does not tell the largest resident size')
    return probe


def test_sees_what_was_held_for_a_moment(probe):
    with probe:
        torch.ones(64 * MIB // 4)
        peak = probe.lap()
    # the kernel counts per thread, in lots of some pages
    assert peak == pytest.approx(64 * MIB, abs=8 * MIB)


def test_each_lap_has_its_own_peak(probe):
    with probe:
        torch.ones(64 * MIB // 4)
        probe.lap()
        torch.ones(16 * MIB // 4)
        assert probe.lap() == pytest.approx(16 * MIB, abs=8 * MIB)


def test_what_was_there_before_does_not_count(probe):
    held = torch.ones(64 * MIB // 4)
    with probe:
        assert probe.lap() < 8 * MIB
    assert held.sum() > 0


def test_together_is_the_highest():
    assert PeakMemory.combine(3, 5) == 5


def test_says_where_it_cannot_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, 'RESET', tmp_path / 'no' / 'such')
    assert not PeakMemory(torch.device('cpu')).is_available


@pytest.mark.gpu
def test_cuda_counts_tensors():
    device = torch.device('cuda')
    with PeakMemory(device) as probe:
        torch.ones(64 * MIB // 4, device=device)
        assert probe.lap() == pytest.approx(64 * MIB, abs=MIB)
