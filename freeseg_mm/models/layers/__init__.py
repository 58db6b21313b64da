from .cosine_classifier import CosineClassifier, max_over_synonyms
from .linear_classifier import LinearClassifier
from .semantic_context_interaction import SemanticContextInteraction

__all__ = [
    'CosineClassifier',
    'LinearClassifier',
    'SemanticContextInteraction',
    'max_over_synonyms',
]
