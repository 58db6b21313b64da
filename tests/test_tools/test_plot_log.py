import json

import pytest
from PIL import Image


@pytest.fixture
def write_log(tmp_path):
    """Write the log of a short training with a validation."""

    def write(name):
        path = tmp_path / name / '20260101_000000' / 'vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        lines = [
            {'loss': 10.0 / step, 'lr': 0.1, 'iter': step, 'step': step}
            for step in (10, 20, 30)
        ]
        lines.append({'semantic/mIoU_unseen': 12.5, 'step': 30})
        path.write_text('\n'.join(map(json.dumps, lines)))
        return tmp_path / name

    return write


@pytest.fixture
def plot(run_tool, capsys):
    """Run the tool; gives exit code, output and errors."""

    def run(*arguments):
        code = 0
        try:
            run_tool('plot_log.py', *arguments)
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def test_curves_of_two_runs(plot, write_log, tmp_path):
    out = tmp_path / 'new' / 'curves.png'
    code, printed, _ = plot(
        *(write_log('one'), write_log('two')),
        *('--keys', 'loss', 'semantic/mIoU_unseen', '--smooth', 0.5),
        *('--legend', 'a', 'b', 'c', 'd', '--title', 'two', '--out', out),
    )
    assert code == 0
    assert str(out) in printed
    with Image.open(out) as picture:
        assert picture.width > 500


def test_keys_are_listed(plot, write_log):
    code, printed, _ = plot(write_log('one'), '--list')
    assert code == 0
    assert printed.split() == ['loss', 'lr', 'semantic/mIoU_unseen']


def test_warning_is_a_sentence(plot, write_log):
    folder = write_log('one')
    (path,) = folder.glob('*/vis_data/scalars.json')
    path.write_text(path.read_text() + '\n{"lo')
    code, _, told = plot(folder, '--list')
    assert code == 0
    assert told == f'plot_log: {path}, line 5 is cut short and left out\n'


def test_mistakes_end_in_a_sentence(plot, write_log, tmp_path):
    log, out = write_log('one'), tmp_path / 'curves.png'
    drawn = ('--keys', 'loss', '--out')
    for arguments, message in (
        ((log, '--keys', 'los', '--out', out), "has no key 'los'; it has lo"),
        ((log, *drawn, tmp_path / 'x.xyz'), 'x.xyz: expected a name ending'),
        ((tmp_path / 'gone.json', *drawn, out), 'no log '),
        ((log, log, *drawn, out), f'{log} is given more than once'),
        ((log, *drawn, out, '--smooth', 1), 'smoothing: expected 0'),
    ):
        code, printed, told = plot(*arguments)
        assert code == 1
        assert printed == ''
        (line,) = told.splitlines()
        assert line.startswith('plot_log: ')
        assert message in line
    assert not out.exists()


def test_needs_something_to_do(plot, write_log):
    code, _, told = plot(write_log('one'), '--keys', 'loss')
    assert code == 2
    assert 'give --keys and --out, or --list' in told
