from .cosine_classifier import CosineClassifier, best_of_prompts
from .semantic_context_interaction import SemanticContextInteraction

__all__ = [
    'CosineClassifier',
    'SemanticContextInteraction',
    'best_of_prompts',
]
