from .targets import (
    BACKGROUND_SEGMENT_ID,
    FIRST_SEGMENT_ID,
    Segment,
    Task,
    TaskTargets,
    task_targets,
    teaches,
    void_label,
)
from .vocabulary import Vocabulary, check_num_negatives, with_negatives

__all__ = [
    'BACKGROUND_SEGMENT_ID',
    'FIRST_SEGMENT_ID',
    'Segment',
    'Task',
    'TaskTargets',
    'Vocabulary',
    'check_num_negatives',
    'task_targets',
    'teaches',
    'void_label',
    'with_negatives',
]
