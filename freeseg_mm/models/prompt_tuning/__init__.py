from .objective import (
    PromptTuning,
    entropy_loss,
    entropy_step,
    is_confident,
    query_entropy,
    unseen_log_scores,
)
from .tuner import (
    ConfidentQueries,
    PromptTuner,
    ScoredQueries,
    TuningCounts,
)

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
]
