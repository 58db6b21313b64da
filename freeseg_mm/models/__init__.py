from .clip import (
    CLIPBackbone,
    CropMaskClassifier,
    FrozenCLIP,
    MaskPoolClassifier,
    MaskTokenClassifier,
)
from .heads import FreeSegFusionHead, FreeSegHead
from .layers import SemanticContextInteraction
from .prompts import AdaptivePromptLearner, ClassEmbedding, FixedPrompt
from .segmentors import FreeSeg, FreeSegTTAModel, TaskPerBatch

__all__ = [
    'AdaptivePromptLearner',
    'CLIPBackbone',
    'ClassEmbedding',
    'CropMaskClassifier',
    'FixedPrompt',
    'FreeSeg',
    'FreeSegFusionHead',
    'FreeSegHead',
    'FreeSegTTAModel',
    'FrozenCLIP',
    'MaskPoolClassifier',
    'MaskTokenClassifier',
    'SemanticContextInteraction',
    'TaskPerBatch',
]
