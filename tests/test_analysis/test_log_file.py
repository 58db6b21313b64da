import json
import math

import pytest

from freeseg_mm.analysis.logs import Log, known_keys, read_log


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
