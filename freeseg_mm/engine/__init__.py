from .compatibility_hook import CompatibilityHook
from .tta_prompt_hook import TTAPromptHook

__all__ = ['CompatibilityHook', 'TTAPromptHook']
