from .clip import (
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
