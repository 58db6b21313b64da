import json

import pytest
import torch
from warm_processes import run_warm

from freeseg_mm.analysis.cost import probes as memory
from freeseg_mm.analysis.cost.probes import PeakMemory

MIB = 2**20
# A process of its own: in one with a long past other things are let go, too.
SCRIPT = """
import json
import torch
from freeseg_mm.analysis.cost.probes import PeakMemory

probe = PeakMemory(torch.device('cpu'))
with probe:
    torch.ones(64 * 2**18)
    laps = [probe.lap()]
    torch.ones(16 * 2**18)
    laps.append(probe.lap())
held = torch.ones(64 * 2**18)
with probe:
    laps.append(probe.lap())
print(json.dumps([*laps, held.sum().item()]))
"""


@pytest.fixture(scope='module')
def laps(tmp_path_factory):
    """Peaks of 64 MiB, of 16, and with 64 held since before."""
    if not PeakMemory(torch.device('cpu')).is_available:
        pytest.skip('this system does not tell the largest resident size')
    path = tmp_path_factory.mktemp('peaks') / 'script.py'
    path.write_text(SCRIPT)
    done = run_warm([path])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sees_what_was_held_for_a_moment(laps):
    # the kernel counts per thread, in lots of some pages
    assert laps[0] == pytest.approx(64 * MIB, abs=8 * MIB)


def test_each_lap_has_its_own_peak(laps):
    assert laps[1] == pytest.approx(16 * MIB, abs=8 * MIB)


def test_what_was_there_before_does_not_count(laps):
    assert laps[2] < 8 * MIB


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
