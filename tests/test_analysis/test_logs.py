import json
import math

import pytest

from freeseg_mm.analysis.logs import Log, known_keys, read_log, read_run


@pytest.fixture
def write(tmp_path):
    def write(*lines):
        path = tmp_path / 'scalars.json'
        texts = [
            line if isinstance(line, str) else json.dumps(line)
            for line in lines
        ]
        path.write_text('\n'.join(texts))
        return path

    return write


def train(step, **values):
    return {**values, 'iter': step, 'step': step}


def test_curves_of_training_and_validation(write):
    log = read_log(
        write(
            train(10, loss=4.0, time=1.0),
            train(20, loss=3.0, time=2.0),
            {'semantic/mIoU': 50.0, 'time': 9.0, 'step': 25},
        )
    )
    assert log.curves == {
        'loss': [(10, 4.0), (20, 3.0)],
        'time': [(10, 1.0), (20, 2.0)],
        'semantic/mIoU': [(25, 50.0)],
    }
    assert log.steps == [10, 20]


@pytest.mark.parametrize('epoch', [0, 1])
def test_validation_that_tells_its_epoch(write, epoch):
    """It stands where training was."""
    log = read_log(
        write(
            train(10, loss=4.0),
            {'semantic/mIoU': 50.0, 'step': epoch},
            train(20, loss=3.0),
            {'semantic/mIoU': 60.0, 'step': 2 * epoch},
        )
    )
    assert log.curves['semantic/mIoU'] == [(10, 50.0), (20, 60.0)]


def test_not_a_number_is_kept(write):
    log = read_log(write(train(1), '{"a/b": NaN, "step": 1}'))
    ((_, value),) = log.curves['a/b']
    assert math.isnan(value)


def test_line_cut_short_is_told(write):
    path = write(train(10, loss=4.0), '{"loss": 3.0, "it')
    with pytest.warns(UserWarning, match='line 2 is cut short'):
        log = read_log(path)
    assert log.steps == [10]


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['oops', train(1)], 'line 1: not JSON'),
        (['oops'], 'line 1: not JSON'),
        (['{"a/b": 1.0}'], "line 1: no line of .* no 'step'"),
        (['[1]'], "line 1: no line of .* no 'step'"),
        ([], 'scalars.json: the log is empty'),
    ],
)
def test_other_files_are_refused(write, lines, message):
    with pytest.raises(ValueError, match=message):
        read_log(write(*lines))


def test_missing_log_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no log .*gone.json'):
        read_log(tmp_path / 'gone.json')


@pytest.mark.parametrize(
    ('steps', 'start'),
    [
        ([10, 20, 30], 0),
        ([260, 270], 250),
        ([260, 270, 290], 250),
        ([260], 0),
        ([], 0),
    ],
)
def test_start_is_one_interval_before_the_first_line(steps, start):
    assert Log({}, steps).start == start


def test_until_keeps_its_iteration():
    log = Log({'a': [(1, 1.0), (2, 2.0)], 'b': [(3, 1.0)]}, [1, 2, 3])
    assert log.until(2) == Log({'a': [(1, 1.0), (2, 2.0)]}, [1, 2])


def test_known_keys_have_the_metrics_last():
    logs = [Log({'x/y': [], 'loss': []}, []), Log({'lr': []}, [])]
    assert known_keys(logs) == ['loss', 'lr', 'x/y']


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
