"""A small head, its stock counterpart and what goes into both."""

from copy import deepcopy

import pytest
import torch
from mmengine.config import ConfigDict

EMBED_DIM = 16
NUM_CLASSES = 4


@pytest.fixture
def build_head(tiny_model_config):
    """Build the tiny model's head; keywords change its config."""
    from freeseg_mm.registry import MODELS

    def build(train_cfg=None, **changes):
        config = deepcopy(tiny_model_config.panoptic_head)
        config.update(
            embed_dim=EMBED_DIM,
            train_cfg=ConfigDict(
                {**tiny_model_config.train_cfg, **(train_cfg or {})}
            ),
            test_cfg=tiny_model_config.test_cfg,
        )
        config.update(changes)
        head = MODELS.build(config)
        head.init_weights()
        return head.eval()

    return build


@pytest.fixture
def build_stock_head(tiny_model_config):
    """mmdet's own head of the same sizes, NUM_CLASSES things."""
    from mmdet.models.dense_heads import Mask2FormerHead

    def build():
        config = deepcopy(tiny_model_config.panoptic_head)
        for ours in (
            'type',
            'context_interaction',
            'classifier',
            'no_object_weight',
        ):
            config.pop(ours)
        config.loss_cls.class_weight = [1.0] * NUM_CLASSES + [0.1]
        head = Mask2FormerHead(
            num_things_classes=NUM_CLASSES,
            num_stuff_classes=0,
            train_cfg=ConfigDict(
                {
                    **tiny_model_config.train_cfg,
                    'sampler': {'type': 'mmdet.MaskPseudoSampler'},
                }
            ),
            test_cfg=tiny_model_config.test_cfg,
            **config,
        )
        head.init_weights()
        return head.eval()

    return build


@pytest.fixture
def feats():
    """Backbone maps of two 64 x 64 images, strides 4 to 32."""
    return [
        torch.randn(2, channels, 64 // stride, 64 // stride)
        for channels, stride in ((8, 4), (16, 8), (32, 16), (64, 32))
    ]


@pytest.fixture
def texts():
    """Text embeddings of three tasks, NUM_CLASSES names and a synonym."""
    return torch.nn.functional.normalize(
        torch.randn(3, NUM_CLASSES + 1, EMBED_DIM), dim=-1
    )


@pytest.fixture
def vocabulary(tiny_vocabulary):
    """NUM_CLASSES classes, the third with two names."""
    assert tiny_vocabulary.prompt_to_class == (0, 1, 2, 2, 3)
    return tiny_vocabulary
