"""Draw the task of a training sample (Sec. 3.1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from freeseg_mm.registry import TRANSFORMS
from freeseg_mm.structures import Task


@TRANSFORMS.register_module()
class MultiTaskSampler(BaseTransform):
    """Choose one of the data set's tasks, uniformly.

    ``TaskPerBatch`` makes the samples of a batch agree. Draws come from
    NumPy's generator, which mmengine seeds per run, rank and worker and
    brings to the same state when a run is resumed, so that a resumed run
    sees the tasks it would have seen.

    Required key: ``tasks``. Added: ``task``. Removed: ``tasks``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``tasks`` by one ``task``."""
        results['task'] = self._draw(results.pop('tasks'))
        return results

    @cache_randomness
    def _draw(self, tasks: Sequence[Task]) -> Task:
        return tasks[np.random.randint(len(tasks))]
