import importlib.util

import pytest


@pytest.fixture
def tool(repo):
    spec = importlib.util.spec_from_file_location(
        'benchmark_tool', repo / 'tools/benchmark.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_is_freeseg_mm_bench(tool, capsys):
    assert tool.main(['infer', 'none.py']) == 1
    assert capsys.readouterr().err == "freeseg-mm: no config file 'none.py'\n"


def test_reads_the_command_line(tool, capsys, monkeypatch):
    monkeypatch.setattr('sys.argv', ['benchmark.py', 'train', 'none.py'])
    assert tool.main() == 1
    assert "no config file 'none.py'" in capsys.readouterr().err
