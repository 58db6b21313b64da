from .classifiers import (
    CosineClassifier,
    LinearClassifier,
    max_over_synonyms,
)
from .semantic_context_interaction import SemanticContextInteraction

__all__ = [
    'CosineClassifier',
    'LinearClassifier',
    'SemanticContextInteraction',
    'max_over_synonyms',
]
