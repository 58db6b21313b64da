from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from freeseg_mm.analysis.cost.meter import Hotspot, Meter
from freeseg_mm.analysis.cost.probes import MacCounter


class Odometer(nullcontext):
    """Counts what the work reports, between laps."""

    def __init__(self):
        super().__init__()
        self.done = 0

    def __enter__(self):
        self.done = 0

    def lap(self):
        done, self.done = self.done, 0
        return done

    combine = staticmethod(lambda one, other: one + other)


@pytest.fixture
def odometer():
    return Odometer()


@pytest.fixture
def worker(odometer):
    """``outer`` does 1, has ``inner`` do 10 twice, and does 100."""
    worker = SimpleNamespace()

    def work(amount):
        odometer.done += amount

    def outer():
        work(1)
        worker.inner(10)
        worker.inner(10)
        work(100)

    worker.inner, worker.outer, worker.work = work, outer, work
    return worker


def test_parts_do_not_hold_what_runs_inside(odometer, worker):
    meter = Meter(odometer)
    places = [Hotspot('out', worker, 'outer'), Hotspot('in', worker, 'inner')]
    with meter.watch(places):
        worker.work(1000)
        worker.outer()
        worker.work(2000)
    assert meter.amounts == {'other': 3000, 'out': 101, 'in': 20}
    assert meter.calls == {'out': 1, 'in': 2}


def test_a_part_inside_itself_is_one_call(odometer, worker):
    meter = Meter(odometer)
    places = [Hotspot('all', worker, 'outer'), Hotspot('all', worker, 'inner')]
    with meter.watch(places):
        worker.outer()
    assert meter.amounts == {'other': 0, 'all': 121}
    assert meter.calls == {'all': 1}


def test_puts_everything_back(odometer):
    layer = nn.Linear(2, 2)
    with Meter(odometer).watch([Hotspot('layer', layer, 'forward')]):
        assert 'forward' in vars(layer)
    assert 'forward' not in vars(layer)


def test_puts_everything_back_after_an_error(odometer, worker):
    outer = worker.outer
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with Meter(odometer).watch([Hotspot('out', worker, 'outer')]):
            raise ZeroDivisionError
    assert worker.outer is outer


def test_a_missing_part_is_an_error(odometer, worker):
    outer = worker.outer
    places = [
        Hotspot('out', worker, 'outer'),
        Hotspot('no', worker, 'nothing'),
    ]
    with pytest.raises(AttributeError, match='nothing'):  # noqa: SIM117
        with Meter(odometer).watch(places):
            pytest.fail('watches without it')
    assert worker.outer is outer


def test_macs_of_modules_in_modules():
    inner = nn.Linear(3, 4)
    outer = nn.Sequential(inner, nn.Linear(4, 5))
    meter = Meter(MacCounter())
    places = [
        Hotspot('outer', outer, 'forward'),
        Hotspot('inner', inner, 'forward'),
    ]
    with meter.watch(places):
        outer(torch.rand(2, 3))
    assert meter.amounts == {'other': 0, 'outer': 40, 'inner': 24}
