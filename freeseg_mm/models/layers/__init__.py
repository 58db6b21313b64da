from .cosine_classifier import CosineClassifier, max_over_synonyms
from .semantic_context_interaction import SemanticContextInteraction

__all__ = [
    'CosineClassifier',
    'SemanticContextInteraction',
    'max_over_synonyms',
]
