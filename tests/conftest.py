"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest
import torch

REPO = Path(__file__).resolve().parent.parent

# Several test processes share few cores.
torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope='session')
def repo():
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope='session')
def samples_dir():
    """Folder of small real data sets in their official layouts."""
    path = Path(
        os.environ.get('FREESEG_MM_SAMPLES', REPO.parent / 'shared' / 'data')
    )
    if not path.is_dir():
        pytest.skip(
            f'no sample data in {path}; FREESEG_MM_SAMPLES names the folder'
        )
    return path


@pytest.fixture(autouse=True)
def _gpu_mark(request):
    marked = request.node.get_closest_marker('gpu')
    if marked and not torch.cuda.is_available():
        pytest.skip('no CUDA device')
