from .adaptive_prompt_learner import AdaptivePromptLearner
from .fixed_prompt import FixedPrompt
from .prompt_learner import PromptLearner

__all__ = ['AdaptivePromptLearner', 'FixedPrompt', 'PromptLearner']
