import subprocess
import sys

import pytest

from freeseg_mm.cli import main


def test_without_a_command_it_explains(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert 'usage: freeseg-mm' in capsys.readouterr().err


def test_bench_needs_to_know_what(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['bench'])
    assert stop.value.code == 2
    assert 'WHAT' in capsys.readouterr().err


def test_a_users_mistake_is_one_sentence(capsys):
    assert main(['bench', 'infer', 'no/such/config.py']) == 1
    error = capsys.readouterr().err
    assert error == "freeseg-mm: no config file 'no/such/config.py'\n"


def test_laying_out_the_commands_loads_no_model_code():
    """--help answers before models are imported."""
    code = (
        'import sys; from freeseg_mm.cli.main import build_parser; '
        'build_parser(); '
        'print([n for n in sys.modules '
        "if n.startswith(('freeseg_mm.models', 'open_clip', 'mmdet.models'))])"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout.strip() == '[]'
