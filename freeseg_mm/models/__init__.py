from .clip import (
    CLIPBackbone,
    CropMaskClassifier,
    FrozenCLIP,
    MaskPoolClassifier,
    MaskTokenClassifier,
)
from .data_preprocessors import TaskPerBatch
from .heads import FreeSegFusionHead, FreeSegHead
from .layers import SemanticContextInteraction
from .prompts import AdaptivePromptLearner, ClassEmbedding, FixedPrompt
from .segmentors import FreeSeg

__all__ = [
    'AdaptivePromptLearner',
    'CLIPBackbone',
    'ClassEmbedding',
    'CropMaskClassifier',
    'FixedPrompt',
    'FreeSeg',
    'FreeSegFusionHead',
    'FreeSegHead',
    'FrozenCLIP',
    'MaskPoolClassifier',
    'MaskTokenClassifier',
    'SemanticContextInteraction',
    'TaskPerBatch',
]
