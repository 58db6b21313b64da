"""A CLIP, prompts and names of the shapes world."""

import pytest

from freeseg_mm.models import AdaptivePromptLearner
from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.recipes.prompt_pretraining import seen_dataset


@pytest.fixture(scope='session')
def clip(tiny_clip_config):
    """Nobody may change it."""
    arguments = dict(tiny_clip_config)
    arguments.pop('type')
    return FrozenCLIP(**arguments)


@pytest.fixture
def learner(clip):
    return AdaptivePromptLearner(
        text_width=clip.text.width,
        embed_dim=clip.embed_dim,
        num_class_tokens=4,
        num_task_tokens=2,
    )


@pytest.fixture
def dataset(tiny_run_config):
    """Eight scenes, unseen classes hidden."""
    return seen_dataset(tiny_run_config)
