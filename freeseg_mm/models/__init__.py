from .clip import CropMaskClassifier, FrozenCLIP
from .data_preprocessors import TaskPerBatch
from .heads import FreeSegFusionHead, FreeSegHead
from .layers import SemanticContextInteraction
from .prompts import AdaptivePromptLearner, FixedPrompt
from .segmentors import FreeSeg

__all__ = [
    'AdaptivePromptLearner',
    'CropMaskClassifier',
    'FixedPrompt',
    'FreeSeg',
    'FreeSegFusionHead',
    'FreeSegHead',
    'FrozenCLIP',
    'SemanticContextInteraction',
    'TaskPerBatch',
]
