import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from freeseg_mm.cli import main
from freeseg_mm.cli.arguments import add_fields, read_options
from freeseg_mm.cli.main import user_errors


def test_without_a_command_it_explains(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert 'usage: freeseg-mm' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('command', 'missing'),
    [
        ('bench', 'WHAT'),
        ('import', 'ACTION'),
        ('prepare', 'ACTION'),
        ('pseudo-labels', 'ACTION'),
        ('shapes', 'ACTION'),
    ],
)
def test_a_group_needs_to_know_what(capsys, command, missing):
    with pytest.raises(SystemExit) as stop:
        main([command])
    assert stop.value.code == 2
    assert missing in capsys.readouterr().err


def test_a_users_mistake_is_one_sentence(capsys):
    assert main(['bench', 'infer', 'no/such/config.py']) == 1
    error = capsys.readouterr().err
    assert (
        error == "freeseg-mm bench infer: no config file 'no/such/config.py'\n"
    )


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (OSError('no disk'), 'no disk'),
        (KeyError("no 'x'"), "no 'x'"),
        (ImportError('too old'), 'too old'),
    ],
)
def test_errors_of_users_end_in_a_sentence(capsys, error, sentence):
    with pytest.raises(SystemExit) as stop, user_errors('tool'):
        raise error
    assert stop.value.code == 1
    assert capsys.readouterr().err == f'tool: {sentence}\n'


def test_runtime_errors_of_others_are_shown_whole():
    with pytest.raises(RuntimeError, match='bug'), user_errors('tool'):
        raise RuntimeError('bug')


def test_runtime_errors_of_the_package_end_in_a_sentence(capsys, monkeypatch):
    # a module of the package, as its frames tell
    names = {'__name__': 'freeseg_mm.models.clip'}
    exec("def fail(): raise RuntimeError('no CLIP')", names)
    with pytest.raises(SystemExit) as stop, user_errors('tool'):
        names['fail']()
    assert stop.value.code == 1
    assert capsys.readouterr().err == 'tool: no CLIP\n'


@pytest.mark.parametrize(
    ('goes_on', 'sentence'),
    [
        (True, 'tool: interrupted; run it again to go on\n'),
        (False, 'tool: interrupted\n'),
    ],
)
def test_an_interruption_says_how_to_go_on(capsys, goes_on, sentence):
    with (
        pytest.raises(SystemExit) as stop,
        user_errors('tool', goes_on=goes_on),
    ):
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err == sentence


@pytest.mark.parametrize(
    'words', [['--help'], ['predict', '--help'], ['ablate', '--help']]
)
def test_help_loads_no_model_code(words):
    code = (
        'import sys; from freeseg_mm.cli import main\n'
        f'try: main({words})\n'
        'except SystemExit: pass\n'
        "heavy = {'torch', 'mmengine', 'mmcv', 'mmdet', 'open_clip'}\n"
        'print(sorted(heavy & set(sys.modules)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout.startswith('usage: freeseg-mm')
    assert done.stdout.splitlines()[-1] == '[]'


@dataclass(frozen=True)
class Options:
    """Numbers.

    Attributes:
        many_steps: Number of steps; each is
            of 5 % or so.
        keep: Whether to keep.
        name: Of it.
        paths: All of them.

    Raises:
        ValueError: Never.
    """

    paths: Sequence[str] | None
    many_steps: int = 3
    keep: bool = True
    name: str = 'a'


def test_fields_become_options():
    parser = argparse.ArgumentParser()
    add_fields(parser, Options, ['paths', 'many_steps', 'keep'])
    text = ' '.join(parser.format_help().split())
    assert 'Number of steps; each is of 5 % or so (default: 3)' in text
    assert 'Whether to keep (default: True)' in text
    assert '--name' not in text
    words = ['--many-steps', '7', '--no-keep', '--paths', 'b', 'c']
    args = parser.parse_args(words)
    assert read_options(Options, args, name='d') == Options(
        ['b', 'c'], 7, False, 'd'
    )
    with pytest.raises(SystemExit):
        parser.parse_args(['--many-steps', '7'])  # --paths has no default
