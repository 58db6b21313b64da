from .load_panoptic_segments import LoadPanopticSegments
from .multi_task_sampler import MultiTaskSampler

__all__ = ['LoadPanopticSegments', 'MultiTaskSampler']
