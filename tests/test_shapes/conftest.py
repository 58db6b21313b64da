import pytest

from freeseg_mm.cli import main
from freeseg_mm.shapes import WorldOptions, generate_shapes

TINY = WorldOptions(train=6, val=3, clip=16, tune=2, size=64, seed=3)


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
def run(capsys):
    """Run freeseg-mm shapes; gives exit status, output and errors."""

    def run(*words):
        status = main(['shapes', *map(str, words)])
        return status, *capsys.readouterr()

    return run
