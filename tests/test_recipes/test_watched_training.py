import sys

import pytest

from freeseg_mm.recipes.processes import train_subprocess

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


def test_bar_shows_iterations_and_the_whole_loss(tmp_path, capsys):
    log = tmp_path / 'new' / 'train.log'
    train_subprocess(command(tmp_path), max_iters=900, log=log)
    out, bar = capsys.readouterr()
    assert out == ''
    assert '900/900' in bar
    assert 'loss=1.5000' in bar
    assert 'Config' not in bar


def test_log_gets_everything(tmp_path):
    log = tmp_path / 'train.log'
    train_subprocess(command(tmp_path), max_iters=900, log=log)
    written = log.read_text().splitlines()
    assert [line for line in written if line in LINES] == LINES
    assert 'on the other stream' in written


def test_failure_shows_the_last_lines_and_names_the_log(tmp_path):
    log = tmp_path / 'train.log'
    lines = [f'line {number}' for number in range(100)]
    with pytest.raises(RuntimeError) as error:
        train_subprocess(
            command(tmp_path, status=3, lines=lines), max_iters=9, log=log
        )
    message = str(error.value)
    assert 'status 3' in message
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
    script = tmp_path / 'script.py'
    script.write_text(
        'import time\nprint("started", flush=True)\ntime.sleep(600)'
    )
    with pytest.raises(KeyboardInterrupt):
        # returns only because the command was stopped
        train_subprocess(
            [sys.executable, str(script)],
            max_iters=9,
            log=tmp_path / 'train.log',
        )
