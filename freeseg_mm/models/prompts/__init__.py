from .adaptive_prompt_learner import AdaptivePromptLearner
from .class_embedding import ClassEmbedding
from .fixed_prompt import FixedPrompt
from .prompt_learner import PromptLearner

__all__ = [
    'AdaptivePromptLearner',
    'ClassEmbedding',
    'FixedPrompt',
    'PromptLearner',
]
