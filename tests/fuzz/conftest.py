"""Number of inputs of each door, and the table of what became of them."""

import pytest
from fuzzing import TALLIES
from inference_fixtures import *  # noqa: F403


@pytest.fixture
def count(request):
    """Inputs of a door: 300, or what ``--fuzz`` says."""
    return request.config.getoption('--fuzz') or 300


def pytest_terminal_summary(terminalreporter, config):
    """Print the outcomes, where they were asked for."""
    if config.getoption('--fuzz'):
        for tally in TALLIES:
            terminalreporter.write_line(tally.line())
