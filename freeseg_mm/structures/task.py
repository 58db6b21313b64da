"""The three tasks one set of weights answers (paper, Sec. 3.1)."""

from collections.abc import Iterable
from enum import Enum


class Task(str, Enum):
    """A segmentation task.

    Members compare equal to their plain string, so configs and results can
    hold ``'semantic'``.
    """

    SEMANTIC = 'semantic'
    INSTANCE = 'instance'
    PANOPTIC = 'panoptic'

    @property
    def text(self) -> str:
        """The task name given to CLIP (paper, Sec. 3.2), period included."""
        return f'{self.value} segmentation.'

    @classmethod
    def parse_many(cls, tasks: 'Iterable[str | Task]') -> 'tuple[Task, ...]':
        """Turn task names into members, order kept.

        Raises:
            ValueError: If a name is unknown, given twice, or none is given.
        """
        given = [tasks] if isinstance(tasks, str) else list(tasks)
        known = [task.value for task in cls]
        unknown = [str(task) for task in given if task not in known]
        if unknown:
            raise ValueError(f'unknown task {unknown}; the tasks are {known}')
        members = tuple(cls(task) for task in given)
        if not members or len(set(members)) != len(members):
            raise ValueError(
                f'expected one to three different tasks of {known}, '
                f'got {[task.value for task in members]}'
            )
        return members
