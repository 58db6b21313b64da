from .adaptive_prompt_learner import AdaptivePromptLearner
from .class_embedding import ClassEmbedding
from .fixed_prompt import FixedPrompt
from .prompt_file import check_prompt_files, prompt_file
from .prompt_learner import PromptLearner, build_prompts

__all__ = [
    'AdaptivePromptLearner',
    'ClassEmbedding',
    'FixedPrompt',
    'PromptLearner',
    'build_prompts',
    'check_prompt_files',
    'prompt_file',
]
