import runpy

import pytest

from freeseg_mm.shapes import WorldOptions, generate_shapes

TINY = WorldOptions(train=6, val=3, clip=16, size=64, seed=3)


@pytest.fixture(scope='session')
def tiny_options():
    return TINY


@pytest.fixture(scope='session')
def tiny_world(tmp_path_factory):
    """A small world on disk; its split clip shows every class."""
    out = tmp_path_factory.mktemp('shapes') / 'world'
    assert generate_shapes(out, TINY, workers=1)
    return out


@pytest.fixture
def run_tool(repo, monkeypatch, capsys):
    """Run a command of tools/; give what it printed and its exit message.

    In this process: importing torch once more takes longer than the test.
    """

    def run(name, *arguments):
        path = str(repo / 'tools' / name)
        monkeypatch.setattr('sys.argv', [path, *map(str, arguments)])
        message = None
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as stop:
            message = stop.code
        return capsys.readouterr(), message

    return run
