from collections import Counter

import numpy as np
import pytest

from freeseg_mm.datasets.transforms import MultiTaskSampler
from freeseg_mm.structures import Task

TASKS = tuple(Task)


def draw(count, tasks=TASKS):
    sampler = MultiTaskSampler()
    return [sampler({'tasks': tasks})['task'] for _ in range(count)]


def test_replaces_tasks_by_one_task():
    sample = MultiTaskSampler()({'tasks': TASKS, 'img_id': 3})
    assert set(sample) == {'task', 'img_id'}
    assert isinstance(sample['task'], Task)


def test_tasks_are_drawn_uniformly():
    np.random.seed(0)
    counts = Counter(draw(3000))
    # 13.8 is exceeded by one in a thousand uniform samplers
    chi_square = sum((counts[task] - 1000) ** 2 / 1000 for task in TASKS)
    assert chi_square < 13.8
    # and the order is no cycle: all nine pairs follow each other
    np.random.seed(0)
    tasks = draw(3000)
    pairs = Counter(zip(tasks, tasks[1:], strict=False))
    assert len(pairs) == 9
    assert min(pairs.values()) > 250


def test_same_seed_draws_the_same_tasks():
    np.random.seed(1)
    first = draw(20)
    np.random.seed(1)
    assert draw(20) == first
    np.random.seed(2)
    assert draw(20) != first


@pytest.mark.parametrize('task', TASKS)
def test_single_task_is_always_drawn(task):
    assert set(draw(10, (task,))) == {task}


def test_absent_task_is_never_drawn():
    assert set(draw(50, TASKS[:2])) == set(TASKS[:2])
