from .adaptive_prompt_learner import AdaptivePromptLearner
from .class_embedding import ClassEmbedding
from .fixed_prompt import FixedPrompt
from .prompt_file import check_prompt_files, prompt_file
from .prompt_learner import (
    PromptLearner,
    beside_text,
    build_prompts,
    text_dim,
)

__all__ = [
    'AdaptivePromptLearner',
    'ClassEmbedding',
    'FixedPrompt',
    'PromptLearner',
    'beside_text',
    'build_prompts',
    'check_prompt_files',
    'prompt_file',
    'text_dim',
]
