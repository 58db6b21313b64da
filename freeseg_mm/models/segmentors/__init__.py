from .batch import TaskPerBatch
from .freeseg import FreeSeg
from .test_time_augmentation import FreeSegTTAModel

__all__ = ['FreeSeg', 'FreeSegTTAModel', 'TaskPerBatch']
