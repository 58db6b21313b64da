import pytest
import torch

from freeseg_mm.recipes.processes import find_slots


@pytest.fixture
def machine(monkeypatch):
    def make(gpus=0, cores=4, visible=None):
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
        monkeypatch.setattr(
            'os.sched_getaffinity', lambda _: set(range(cores))
        )
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
        if visible:
            monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)

    return make


@pytest.mark.parametrize(
    ('jobs', 'count', 'threads'), [(None, 4, '1'), (2, 2, '2'), (8, 8, '1')]
)
def test_cores_are_shared(machine, jobs, count, threads):
    machine()
    slots = find_slots(jobs)
    assert len(slots) == count
    for slot in slots:
        assert slot.devices == 0
        assert set(slot.environment.values()) == {threads}


@pytest.mark.parametrize(
    ('visible', 'expected'),
    [(None, ['0,1', '2,3']), ('4,5,6,7,9', ['4,5', '6,7'])],
)
def test_gpus_are_shared_in_groups(machine, visible, expected):
    machine(gpus=5, visible=visible)
    slots = find_slots(gpus_per_run=2)
    assert [s.environment['CUDA_VISIBLE_DEVICES'] for s in slots] == expected
    assert len({s.environment['PORT'] for s in slots}) == 2
    assert {s.devices for s in slots} == {2}


def test_numbers_that_do_not_fit_are_refused(machine):
    machine(gpus=2)
    with pytest.raises(ValueError, match='1 runs at once with 4 GPUs each: t'):
        find_slots(gpus_per_run=4)
    with pytest.raises(ValueError, match='3 runs at once with 1 GPUs each: t'):
        find_slots(3)
    with pytest.raises(ValueError, match='--jobs 0: expected at least 1'):
        find_slots(0)
    with pytest.raises(ValueError, match='--gpus-per-run 0: expected at lea'):
        find_slots(gpus_per_run=0)
