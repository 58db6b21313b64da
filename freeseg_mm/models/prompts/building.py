"""Prompt learners as configs describe them, as wide as a CLIP."""

from mmdet.utils import ConfigType

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.registry import MODELS

from .prompt_learner import PromptLearner


def build_prompts(config: ConfigType, clip: FrozenCLIP) -> PromptLearner:
    """Build a prompt learner, with those of CLIP's widths it takes."""
    config = config.copy()
    if 'Adaptive' in config['type']:
        config['text_width'] = clip.text.width
    if 'Fixed' not in config['type']:
        config['embed_dim'] = clip.embed_dim
    return MODELS.build(config)
