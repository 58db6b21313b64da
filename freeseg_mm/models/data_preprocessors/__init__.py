from .task_per_batch import TaskPerBatch

__all__ = ['TaskPerBatch']
