import pytest
from inference_fixtures import *  # noqa: F403
from zoo_fixtures import *  # noqa: F403

from freeseg_mm.cli import main


@pytest.fixture
def run(capsys):
    """Run a command; gives exit status, output and errors."""

    def run(*words):
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run
