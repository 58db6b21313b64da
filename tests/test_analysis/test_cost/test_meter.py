import pytest
import torch
from torch import nn

from freeseg_mm.analysis.cost.meter import Hotspot, Meter, Probe, replaced
from freeseg_mm.analysis.cost.probes import MacCounter


class Odometer(Probe):
    """Counts what the work reports, between laps."""

    done = 0

    def lap(self):
        done, self.done = self.done, 0
        return done


class Worker:
    """``outer`` does 1, has ``inner`` do 10 twice, and does 100."""

    def __init__(self, odometer):
        self.odometer = odometer

    def work(self, amount):
        self.odometer.done += amount

    def inner(self, amount):
        self.work(amount)

    def outer(self):
        self.work(1)
        self.inner(10)
        self.inner(10)
        self.work(100)


class Net(nn.Module):
    """As a worker, a module within a module."""

    def __init__(self, odometer, inner=None):
        super().__init__()
        self.odometer = odometer
        self.inner = inner

    def forward(self, amount):
        self.odometer.done += 1
        if self.inner is not None:
            self.inner(amount)
            self.inner(amount)
        self.odometer.done += amount
        return amount


@pytest.fixture
def odometer():
    return Odometer()


@pytest.fixture
def worker(odometer):
    return Worker(odometer)


def test_parts_do_not_hold_what_runs_inside(odometer, worker):
    meter = Meter(odometer)
    hotspots = [Hotspot('out', worker.outer), Hotspot('in', worker.inner)]
    with meter.watch(hotspots):
        worker.work(1000)
        worker.outer()
        worker.work(2000)
    assert meter.amounts == {'other': 3000, 'out': 101, 'in': 20}
    assert meter.calls == {'out': 1, 'in': 2}


def test_modules_do_not_hold_what_runs_inside(odometer, worker):
    net = Net(odometer, Net(odometer))
    meter = Meter(odometer)
    with meter.watch([Hotspot('out', net), Hotspot('in', net.inner)]):
        worker.work(1000)
        net(10)
    assert meter.amounts == {'other': 1000, 'out': 11, 'in': 22}
    assert meter.calls == {'out': 1, 'in': 2}


def test_a_part_inside_itself_is_one_call(odometer, worker):
    meter = Meter(odometer)
    hotspots = [Hotspot('all', worker.outer), Hotspot('all', worker.inner)]
    with meter.watch(hotspots):
        worker.outer()
    assert meter.amounts == {'other': 0, 'all': 121}
    assert meter.calls == {'all': 1}


def test_puts_everything_back(odometer, worker):
    net = Net(odometer)
    hotspots = [Hotspot('out', worker.outer), Hotspot('net', net)]
    with Meter(odometer).watch(hotspots):
        assert 'outer' in vars(worker)
    assert 'outer' not in vars(worker)
    meter = Meter(odometer)
    with meter.watch([]):
        net(10)
    assert meter.calls == {}


def test_an_error_ends_its_parts(odometer, worker):
    class Failing(nn.Module):
        def forward(self):
            odometer.done += 5
            raise ZeroDivisionError

    net = Failing()
    worker.inner = lambda amount: net()
    meter = Meter(odometer)
    hotspots = [Hotspot('out', worker.outer), Hotspot('net', net)]
    with meter.watch(hotspots):
        with pytest.raises(ZeroDivisionError):
            worker.outer()
        worker.work(3)
    assert meter.amounts == {'other': 3, 'out': 1, 'net': 5}
    assert 'outer' not in vars(worker)


def test_replacements_stack(worker):
    """The last one calls the one before, and all go."""
    found = []

    def noting(name):
        def make(method):
            def noted(amount):
                found.append((name, amount))
                method(amount)

            return noted

        return make

    method = worker.inner
    with replaced(method, noting('a')), replaced(worker.inner, noting('b')):
        worker.inner(1)
    worker.inner(2)
    assert found == [('b', 1), ('a', 1)]
    assert worker.odometer.done == 3


def test_other_callables_are_refused():
    with pytest.raises(TypeError, match='net: expected a module or a bound'):
        Hotspot('net', len)


def test_macs_of_modules_in_modules():
    inner = nn.Linear(3, 4)
    outer = nn.Sequential(inner, nn.Linear(4, 5))
    meter = Meter(MacCounter())
    with meter.watch([Hotspot('outer', outer), Hotspot('inner', inner)]):
        outer(torch.rand(2, 3))
    assert meter.amounts == {'other': 0, 'outer': 40, 'inner': 24}
