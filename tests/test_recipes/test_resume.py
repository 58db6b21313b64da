import pytest

from freeseg_mm.recipes.resume import RunStamp, StampState, file_digest

INPUTS = {'steps': 5, 'sizes': (1, 2)}


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'results' / 'weights.pt'


@pytest.fixture
def record(output):
    return RunStamp(output.parent / '.step.json', [output])


def make(record, output, inputs=INPUTS, content='w'):
    record.start(inputs)
    output.write_text(content)
    record.finish(inputs)


def test_nothing_is_there(record):
    assert record.state(INPUTS) is StampState.ABSENT


def test_results_without_a_note_are_foreign(record, output):
    output.parent.mkdir()
    output.write_text('w')
    assert record.state(INPUTS) is StampState.FOREIGN


def test_finished_results_can_be_used(record, output):
    make(record, output)
    assert record.state(INPUTS) is StampState.FINISHED
    # a note is found by another process
    other = RunStamp(record.path, record.outputs)
    assert other.state(dict(INPUTS)) is StampState.FINISHED


def test_interrupted_step_is_started(record, output):
    record.start(INPUTS)
    assert record.state(INPUTS) is StampState.STARTED
    output.write_text('half')
    assert record.state(INPUTS) is StampState.STARTED


@pytest.mark.parametrize('finished', [False, True])
def test_other_inputs_are_told_apart(record, output, finished):
    record.start(INPUTS)
    if finished:
        make(record, output)
    assert record.state({**INPUTS, 'steps': 6}) is StampState.OTHER


def test_starting_anew_withdraws_the_results(record, output):
    make(record, output)
    record.start(INPUTS)
    assert record.state(INPUTS) is StampState.STARTED


def test_changed_or_lost_output_is_noticed(record, output):
    make(record, output)
    output.write_text('x')
    assert record.state(INPUTS) is StampState.STARTED
    output.unlink()
    assert record.state(INPUTS) is StampState.STARTED


def test_missing_output_is_named(record, output):
    record.start(INPUTS)
    with pytest.raises(FileNotFoundError, match=r'did not write .*weights.pt'):
        record.finish(INPUTS)


@pytest.mark.parametrize('content', ['{', '[]'])
def test_damaged_note_is_named(record, content):
    record.path.parent.mkdir()
    record.path.write_text(content)
    with pytest.raises(ValueError, match=r'\.step\.json is no JSON object'):
        record.state(INPUTS)


def test_digest_is_of_the_whole_file(tmp_path):
    path = tmp_path / 'large'
    content = bytearray(3 << 20)
    path.write_bytes(content)
    before = file_digest(path)
    content[-1] = 1
    path.write_bytes(content)
    assert file_digest(path) != before
    assert len(before) == 32
