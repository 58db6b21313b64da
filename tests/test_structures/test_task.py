import re

import pytest

from freeseg_mm.structures import Task


def test_members_are_the_papers_three_tasks():
    assert [task.value for task in Task] == [
        'semantic',
        'instance',
        'panoptic',
    ]


def test_member_equals_its_string():
    assert Task.PANOPTIC == 'panoptic'
    assert Task('instance') is Task.INSTANCE
    assert {'semantic': 1}[Task.SEMANTIC] == 1


@pytest.mark.parametrize(
    ('task', 'text'),
    [
        (Task.SEMANTIC, 'semantic segmentation.'),
        (Task.INSTANCE, 'instance segmentation.'),
        (Task.PANOPTIC, 'panoptic segmentation.'),
    ],
)
def test_text(task, text):
    assert task.text == text


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ('instance', (Task.INSTANCE,)),
        (Task.INSTANCE, (Task.INSTANCE,)),
        (['panoptic', 'semantic'], (Task.PANOPTIC, Task.SEMANTIC)),
        ((Task.SEMANTIC, 'instance'), (Task.SEMANTIC, Task.INSTANCE)),
        (iter(['semantic']), (Task.SEMANTIC,)),
    ],
)
def test_parse_many_keeps_the_order(given, expected):
    parsed = Task.parse_many(given)
    assert parsed == expected
    assert all(isinstance(task, Task) for task in parsed)


@pytest.mark.parametrize('given', ['depth', ['semantic', 'depth']])
def test_parse_many_names_the_unknown_task(given):
    with pytest.raises(
        ValueError,
        match=re.escape(
            "unknown task ['depth']; the tasks are "
            "['semantic', 'instance', 'panoptic']"
        ),
    ):
        Task.parse_many(given)


@pytest.mark.parametrize(
    'given', [[], ['semantic', 'semantic'], ['semantic', Task.SEMANTIC]]
)
def test_parse_many_wants_different_tasks(given):
    shown = [str(Task(task).value) for task in given]
    with pytest.raises(
        ValueError,
        match=r'one to three different tasks of .*, got '
        + re.escape(f'{shown}'),
    ):
        Task.parse_many(given)
