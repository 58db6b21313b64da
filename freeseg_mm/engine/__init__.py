from .compatibility_hook import CompatibilityHook
from .exact_resume_hook import ExactResumeHook
from .tta_prompt_hook import TTAPromptHook

__all__ = ['CompatibilityHook', 'ExactResumeHook', 'TTAPromptHook']
