import sys
from functools import partial

import pytest
import torch

from freeseg_mm.recipes.processes import (
    RunFailedError,
    Slot,
    find_slots,
    run_on_slots,
)


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


LINES = [
    'Config: something long',
    # two lines as mmengine's logger writes them
    '11/22 08:09:44 - mmengine - INFO - Iter(train) [ 50/900]  base_lr: '
    '1.0e-03 lr: 1.0e-03  eta: 0:04:00  time: 0.3  data_time: 0.01  loss: '
    '45.1250  loss_cls: 2.5  d0.loss_mask: 3.5',
    '11/22 08:10:44 - mmengine - INFO - Iter(train) [900/900]  lr: 1.0e-03 '
    'eta: 0:00:00  loss: 1.5000  loss_cls: 2.5',
]


def command(tmp_path, *, status=0, lines=LINES):
    script = tmp_path / 'script.py'
    script.write_text(
        f'import sys\nfor line in {lines!r}:\n    print(line)\n'
        f'print("on the other stream", file=sys.stderr)\nsys.exit({status})'
    )
    return [sys.executable, str(script)]


def sleeping(tmp_path):
    script = tmp_path / 'sleep.py'
    script.write_text(
        'import time\nprint("started", flush=True)\ntime.sleep(600)'
    )
    return [sys.executable, str(script)]


def test_bar_shows_iterations_and_the_whole_loss(tmp_path, capsys):
    log = tmp_path / 'new' / 'train.log'
    Slot().run('training', command(tmp_path), log, max_iters=900)
    out, bar = capsys.readouterr()
    assert out == ''
    assert '900/900' in bar
    assert 'loss=1.5000' in bar
    assert 'Config' not in bar


def test_log_gets_everything(tmp_path):
    log = tmp_path / 'train.log'
    Slot().run('training', command(tmp_path), log, max_iters=900)
    written = log.read_text().splitlines()
    assert [line for line in written if line in LINES] == LINES
    assert 'on the other stream' in written


def test_failure_shows_the_last_lines_and_names_the_log(tmp_path):
    log = tmp_path / 'train.log'
    lines = [f'line {number}' for number in range(100)]
    with pytest.raises(RunFailedError) as error:
        Slot().run('training', command(tmp_path, status=3, lines=lines), log)
    message = str(error.value)
    assert message.startswith('training ended with exit status 3, see ')
    assert str(log) in message
    assert 'line 99' in message
    assert 'line 50' not in message


def test_interrupt_ends_the_training(tmp_path, monkeypatch):
    """Also where only this process is interrupted, not its whole group."""

    class Interrupting:
        def search(self, line):
            raise KeyboardInterrupt

    monkeypatch.setattr(
        'freeseg_mm.recipes.processes._ITERATION', Interrupting()
    )
    with pytest.raises(KeyboardInterrupt):
        # returns only because the command was stopped
        Slot().run('training', sleeping(tmp_path), tmp_path / 'train.log')


def test_quiet_without_iterations(tmp_path, capsys):
    Slot().run('training', command(tmp_path), tmp_path / 'train.log')
    assert capsys.readouterr() == ('', '')


def test_command_has_the_slots_environment(tmp_path):
    log = tmp_path / 'log'
    show = [sys.executable, '-c', 'import os; print(os.environ["SHARE"])']
    Slot({'SHARE': '7'}).run('show', show, log)
    assert log.read_text() == '7\n'


def test_failed_jobs_leave_the_others():
    """Each job on a slot that no other has at the time."""
    done, said = [], []

    free = {Slot(), Slot()}

    def job(number, slot):
        free.remove(slot)
        if number % 2 == 0:
            done.append(number)
        free.add(slot)
        if number % 2:
            raise RunFailedError(f'job {number}')

    jobs = [partial(job, number) for number in range(6)]
    failures = run_on_slots(jobs, [*free], said.append)
    assert sorted(done) == [0, 2, 4]
    assert failures == said
    assert sorted(failures) == ['job 1', 'job 3', 'job 5']


def test_interrupt_ends_all_slots(tmp_path):
    """Running commands end, and jobs that wait are never begun."""
    begun = []

    def sleep(slot):
        begun.append(slot)
        slot.run('sleep', sleeping(tmp_path), tmp_path / 'sleep.log')

    def interrupt(slot):
        raise KeyboardInterrupt

    slots = [Slot(), Slot()]
    with pytest.raises(KeyboardInterrupt):
        # returns only because the command was stopped
        run_on_slots([sleep, interrupt, sleep, sleep], slots, print)
    assert len(begun) < 3
    with pytest.raises(RunFailedError, match=r'^late ended with exit status'):
        slots[0].run('late', sleeping(tmp_path), tmp_path / 'late.log')
