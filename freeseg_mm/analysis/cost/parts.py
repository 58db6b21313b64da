"""Which callables of a model are which part of the work."""

import sys
from typing import Any

from torch import nn

from freeseg_mm.models.segmentors import FreeSeg

from .meter import Hotspot
from .released import ReleasedFlow
from .training import TrainingStep

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


def predict_places(model: FreeSeg) -> list[Hotspot]:
    """Parts of :meth:`FreeSeg.predict`."""
    return [
        *_shared_places(model),
        *_forward('interaction', model.panoptic_head.context_interaction),
        Hotspot('decoder', model.panoptic_head, '_decode'),
        Hotspot('text', model, '_text'),
        *_forward('CLIP images', model.mask_classifier),
        _function('ensemble', FreeSeg, 'ensemble_scores'),
    ]


def released_places(flow: ReleasedFlow) -> list[Hotspot]:
    """Parts of :meth:`ReleasedFlow.predict`."""
    return [
        *_shared_places(flow.model),
        Hotspot('interaction', flow.head, 'interact'),
        Hotspot('decoder', flow.head, 'decode'),
        Hotspot('text', flow, 'encode_text'),
        Hotspot('CLIP images', flow, 'classify_masks'),
        _function('ensemble', ReleasedFlow, 'ensemble_scores'),
    ]


def train_places(step: TrainingStep) -> list[Hotspot]:
    """Parts of a :class:`TrainingStep`, of a FreeSeg or a Mask2Former.

    The decoder includes the classification of queries.
    """
    model, head = step.model, step.model.panoptic_head
    places = [
        Hotspot('data', step, 'prepare'),
        Hotspot('backbone', model, 'extract_feat'),
        *_forward('pixel decoder', head.pixel_decoder),
        *_forward('decoder', head),
        Hotspot('loss', head, 'loss_by_feat'),
        Hotspot('backward', step, 'backward'),
        Hotspot('optimizer', step, 'update'),
    ]
    if not isinstance(model, FreeSeg):
        return [
            *places,
            Hotspot('data', head, 'preprocess_gt'),
            Hotspot('matching', head, '_get_targets_single'),
        ]
    return [
        *places,
        _function('data', FreeSeg, 'task_targets'),
        *_forward('text', model.prompt_learner),
        *_forward('interaction', head.context_interaction),
        Hotspot('matching', head, '_match'),
    ]


def _shared_places(model: FreeSeg) -> list[Hotspot]:
    head = model.panoptic_head
    return [
        Hotspot('backbone', model, 'extract_feat'),
        *_forward('pixel decoder', head.pixel_decoder),
        *_forward('query classifier', head.cls_embed),
        Hotspot('post-processing', model.panoptic_fusion_head, 'predict'),
    ]


def _forward(part: str, module: nn.Module | None) -> list[Hotspot]:
    return [] if module is None else [Hotspot(part, module, 'forward')]


def _function(part: str, user: Any, name: str) -> Hotspot:
    """A function that a class calls by its name in the class's module."""
    return Hotspot(part, sys.modules[user.__module__], name)
