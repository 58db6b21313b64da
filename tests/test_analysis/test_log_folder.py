import json

import pytest

from freeseg_mm.analysis.logs import read_run


@pytest.fixture
def write_run(tmp_path):
    """Write a run's log: its steps, and a name as every value."""

    def write(time, steps, value):
        path = tmp_path / 'work' / time / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text(
            '\n'.join(
                json.dumps({'loss': value, 'iter': step, 'step': step})
                for step in steps
            )
        )
        return tmp_path / 'work'

    return write


def test_the_newest_run_counts(write_run):
    write_run('20260101_000000', [10, 20, 30], 1.0)
    folder = write_run('20260102_000000', [10, 20], 2.0)
    assert read_run(folder).curves == {'loss': [(10, 2.0), (20, 2.0)]}


def test_resumed_runs_are_joined(write_run):
    """The second goes on from 20, the third from 40.

    What the first logged at 30 was lost when it broke.
    """
    write_run('20260101_000000', [10, 20, 30], 1.0)
    write_run('20260102_000000', [30, 40], 2.0)
    folder = write_run('20260103_000000', [50, 60], 3.0)
    log = read_run(folder)
    assert log.curves['loss'] == [
        (10, 1.0),
        (20, 1.0),
        (30, 2.0),
        (40, 2.0),
        (50, 3.0),
        (60, 3.0),
    ]
    assert log.steps == [10, 20, 30, 40, 50, 60]


def test_runs_before_the_start_are_not_joined(write_run):
    write_run('20260101_000000', [10, 20], 1.0)
    write_run('20260102_000000', [10, 20], 2.0)
    folder = write_run('20260103_000000', [30, 40], 3.0)
    values = [value for _, value in read_run(folder).curves['loss']]
    assert values == [2.0, 2.0, 3.0, 3.0]


def test_earlier_run_may_be_gone(write_run):
    folder = write_run('20260103_000000', [30, 40], 3.0)
    assert read_run(folder).steps == [30, 40]


def test_tests_are_passed_over(write_run):
    folder = write_run('20260101_000000', [10, 20], 1.0)
    write_run('20260102_000000', [], 0.0)
    assert read_run(folder).steps == [10, 20]


def test_one_run_of_several_can_be_named(write_run):
    folder = write_run('20260101_000000', [30, 40], 1.0)
    write_run('20260102_000000', [50, 60], 2.0)
    time = folder / '20260102_000000'
    for path in (time, time / 'vis_data' / 'scalars.json'):
        assert read_run(path).steps == [50, 60]


def test_folder_without_a_training(tmp_path):
    message = r'no log of a training in .*TIME/vis_data/scalars\.json'
    with pytest.raises(FileNotFoundError, match=message):
        read_run(tmp_path)
