"""Which callables of a model are which part of the work."""

import sys
from typing import Any

from torch import nn

from freeseg_mm.models.segmentors import FreeSeg

from .meter import Place
from .reference import ReleasedFlow
from .training_step import TrainingStep

PREDICT_PARTS = (
    'backbone',
    'pixel decoder',
    'interaction',
    'decoder',
    'query classifier',
    'text',
    'CLIP images',
    'ensemble',
    'post-processing',
)

TRAIN_PARTS = (
    'data',
    'text',
    'backbone',
    'pixel decoder',
    'interaction',
    'decoder',
    'matching',
    'loss',
    'backward',
    'optimizer',
)


def predict_places(model: FreeSeg) -> list[Place]:
    """Parts of :meth:`FreeSeg.predict`."""
    return [
        *_shared_places(model),
        *_forward('interaction', model.panoptic_head.context_interaction),
        Place('decoder', model.panoptic_head, '_decode'),
        Place('text', model, '_text'),
        *_forward('CLIP images', model.mask_classifier),
        _function('ensemble', FreeSeg, 'ensemble_scores'),
    ]


def released_places(flow: ReleasedFlow) -> list[Place]:
    """Parts of :meth:`ReleasedFlow.predict`."""
    return [
        *_shared_places(flow.model),
        Place('interaction', flow.head, 'interact'),
        Place('decoder', flow.head, 'decode'),
        Place('text', flow, 'encode_text'),
        Place('CLIP images', flow, 'classify_masks'),
        _function('ensemble', ReleasedFlow, 'ensemble_scores'),
    ]


def train_places(step: TrainingStep) -> list[Place]:
    """Parts of a :class:`TrainingStep`, of a FreeSeg or a Mask2Former.

    The decoder includes the classification of queries.
    """
    model, head = step.model, step.model.panoptic_head
    places = [
        Place('data', step, 'prepare'),
        Place('backbone', model, 'extract_feat'),
        *_forward('pixel decoder', head.pixel_decoder),
        *_forward('decoder', head),
        Place('loss', head, 'loss_by_feat'),
        Place('backward', step, 'backward'),
        Place('optimizer', step, 'update'),
    ]
    if not isinstance(model, FreeSeg):
        return [
            *places,
            Place('data', head, 'preprocess_gt'),
            Place('matching', head, '_get_targets_single'),
        ]
    return [
        *places,
        _function('data', FreeSeg, 'task_targets'),
        *_forward('text', model.prompt_learner),
        *_forward('interaction', head.context_interaction),
        Place('matching', head, '_match'),
    ]


def _shared_places(model: FreeSeg) -> list[Place]:
    head = model.panoptic_head
    return [
        Place('backbone', model, 'extract_feat'),
        *_forward('pixel decoder', head.pixel_decoder),
        *_forward('query classifier', head.cls_embed),
        Place('post-processing', model.panoptic_fusion_head, 'predict'),
    ]


def _forward(part: str, module: nn.Module | None) -> list[Place]:
    return [] if module is None else [Place(part, module, 'forward')]


def _function(part: str, user: Any, name: str) -> Place:
    """A function that a class calls by its name in the class's module."""
    return Place(part, sys.modules[user.__module__], name)
