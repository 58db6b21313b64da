from .negatives import check_num_negatives, with_negatives
from .targets import (
    FIRST_SEGMENT_ID,
    Segment,
    TaskTargets,
    task_targets,
    teaches,
)
from .task import Task
from .vocabulary import Vocabulary

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
