from .targets import (
    FIRST_SEGMENT_ID,
    Segment,
    Task,
    TaskTargets,
    task_targets,
    teaches,
)
from .vocabulary import Vocabulary, check_num_negatives, with_negatives

__all__ = [
    'FIRST_SEGMENT_ID',
    'Segment',
    'Task',
    'TaskTargets',
    'Vocabulary',
    'check_num_negatives',
    'task_targets',
    'teaches',
    'with_negatives',
]
