"""What tests of the network share."""

import pytest
import torch

# Layers this small are slower on more threads.
torch.set_num_threads(1)


@pytest.fixture(scope='session')
def tiny_clip(tiny_clip_config):
    """A FrozenCLIP with random weights; do not change it."""
    from freeseg_mm.registry import MODELS

    return MODELS.build(tiny_clip_config)


@pytest.fixture(scope='session')
def open_clip_twin(tiny_clip_config):
    """The same CLIP, made and used by open_clip alone, and its tokenizer."""
    import open_clip

    open_clip.add_model_config(tiny_clip_config.model)
    model = open_clip.create_model(
        'tiny_clip', pretrained=tiny_clip_config.pretrained
    )
    return model.eval(), open_clip.get_tokenizer('tiny_clip')
