from .objective import (
    entropy_loss,
    entropy_step,
    is_confident,
    query_entropy,
    unseen_log_scores,
)
from .samples import ConfidentQueries, ScoredQueries, which_are_confident
from .settings import PromptTuning
from .tuner import PromptTuner, TuningCounts

__all__ = [
    'ConfidentQueries',
    'PromptTuner',
    'PromptTuning',
    'ScoredQueries',
    'TuningCounts',
    'entropy_loss',
    'entropy_step',
    'is_confident',
    'query_entropy',
    'unseen_log_scores',
    'which_are_confident',
]
