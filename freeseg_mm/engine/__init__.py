from .compatibility_hook import CompatibilityHook
from .exact_resume_hook import ExactResumeHook
from .finite_training_hook import FiniteTrainingHook
from .tta_prompt_hook import TTAPromptHook
from .visualizer import FreeSegVisualizer

__all__ = [
    'CompatibilityHook',
    'ExactResumeHook',
    'FiniteTrainingHook',
    'FreeSegVisualizer',
    'TTAPromptHook',
]
