"""A tiny run whose pseudo labels are made with random, lively weights."""

import shutil

import pytest
from inference_fixtures import *  # noqa: F403

from freeseg_mm.recipes.self_training import Labelling, PseudoLabelSettings

# Random weights are sure of nothing.
ANY = PseudoLabelSettings(
    score_thr=0.0, min_area=0, min_unlabelled=0.0, overlap_thr=0.0
)


@pytest.fixture
def world(shapes_world, tmp_path):
    """A copy of the shapes world that may be changed."""
    return shutil.copytree(shapes_world, tmp_path / 'world')


@pytest.fixture
def labelling(tiny_run_config, tiny_weights, world, tmp_path):
    """Prepare pseudo labels of the tiny run; arguments change it."""
    tiny_run_config.train_dataloader.dataset.data_root = str(world)

    def make(out='pseudo', config=tiny_run_config, **changes):
        arguments = {
            'settings': ANY,
            'num_pictures': 1,
            'num_workers': 0,
            'device': 'cpu',
            **changes,
        }
        return Labelling(config, tiny_weights[1], tmp_path / out, **arguments)

    return make
