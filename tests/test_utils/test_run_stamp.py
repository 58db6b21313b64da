import pytest

from freeseg_mm.utils.journal import (
    RunStamp,
    StampState,
    file_digest,
    json_digest,
)

INPUTS = {'steps': 5, 'sizes': (1, 2)}


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'results' / 'weights.pt'


@pytest.fixture
def stamp_of(output):
    """Stamp the output, whatever is there, as one of these inputs."""

    def make(inputs=INPUTS):
        return RunStamp(output.parent / '.step.json', inputs, [output])

    return make


@pytest.fixture
def stamp(stamp_of):
    return stamp_of()


@pytest.fixture
def make(stamp_of, output):
    """Do the step that writes the output; tell whether it was done now."""

    def run(inputs=INPUTS, content='w'):
        return stamp_of(inputs).run(lambda: output.write_text(content))

    return run


class Killed(BaseException):
    """An end that nothing can catch."""


@pytest.fixture
def interrupt(stamp):
    """Begin the step and die."""

    def kill():
        raise Killed

    def run():
        with pytest.raises(Killed):
            stamp.run(kill)

    return run


def test_nothing_is_there(stamp):
    assert stamp.state() is StampState.ABSENT


@pytest.mark.parametrize('name', ['weights.pt', 'part_1.pt'])
def test_results_without_a_stamp_are_other(output, name):
    output.parent.mkdir()
    (output.parent / name).write_text('w')
    stamp = RunStamp(
        output.parent / '.step.json',
        INPUTS,
        [output],
        output.parent.glob('part_*.pt'),
    )
    assert stamp.state() is StampState.OTHER


def test_finished_results_can_be_used(make, stamp_of, output):
    assert make()
    assert stamp_of().state() is StampState.FINISHED
    assert stamp_of({'sizes': [1, 2], 'steps': 5}).state() is (
        StampState.FINISHED
    )
    assert not make(content='again')
    assert output.read_text() == 'w'


def test_interrupted_step_is_started(make, interrupt, stamp, output):
    interrupt()
    assert stamp.state() is StampState.STARTED
    output.write_text('half')
    assert stamp.state() is StampState.STARTED
    assert make()
    assert output.read_text() == 'w'


@pytest.mark.parametrize('finished', [False, True])
def test_other_inputs_are_told_apart(
    make, interrupt, stamp_of, output, finished
):
    interrupt()
    if finished:
        make()
    other = {**INPUTS, 'steps': 6}
    assert stamp_of(other).state() is StampState.OTHER
    assert make(other, 'x')
    assert output.read_text() == 'x'
    assert stamp_of().state() is StampState.OTHER


def test_starting_anew_withdraws_the_results(make, interrupt, stamp, output):
    make()
    output.write_text('x')
    interrupt()
    output.write_text('w')
    assert stamp.state() is StampState.STARTED


def test_changed_or_lost_output_is_noticed(make, stamp, output):
    make()
    output.write_text('x')
    assert stamp.state() is StampState.STARTED
    output.unlink()
    assert stamp.state() is StampState.STARTED


def test_missing_output_is_named(stamp):
    with pytest.raises(FileNotFoundError, match=r'did not write .*weights.pt'):
        stamp.run(lambda: None)
    assert stamp.state() is StampState.STARTED


@pytest.mark.parametrize('content', ['{', '[]'])
def test_damaged_stamp_is_named(stamp, content):
    stamp.path.parent.mkdir()
    stamp.path.write_text(content)
    with pytest.raises(ValueError, match=r'\.step\.json is no JSON object'):
        stamp.state()


def test_digest_is_of_the_whole_file(tmp_path):
    path = tmp_path / 'large'
    content = bytearray(3 << 20)
    path.write_bytes(content)
    before = file_digest(path)
    content[-1] = 1
    path.write_bytes(content)
    assert file_digest(path) != before
    assert len(before) == 32


def test_digest_of_json_is_of_the_content(tmp_path):
    first = json_digest({'a': (1, 2), 'b': tmp_path})
    assert first == json_digest({'b': str(tmp_path), 'a': [1, 2]})
    assert first != json_digest({'a': [1, 2], 'b': ''})
    assert len(first) == 16
