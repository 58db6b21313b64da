import re

import pytest
import torch

from freeseg_mm.structures import (
    BACKGROUND_SEGMENT_ID,
    FIRST_SEGMENT_ID,
    Task,
    Vocabulary,
    task_targets,
    void_label,
)

A, B, C, D, E = range(FIRST_SEGMENT_ID, FIRST_SEGMENT_ID + 5)

# Two cats side by side, a crowd of dogs, grass in two segments; the corner
# holds void (0) and padding (255).
SEGMENT_MAP = torch.tensor(
    [
        [A, A, B, B],
        [A, A, B, C],
        [D, D, E, C],
        [D, D, 0, 255],
    ],
    dtype=torch.int32,
)
CAT, DOG, GRASS = 0, 1, 2
VOCABULARY = Vocabulary.from_names(
    ['cat', 'dog', 'grass'], things=['cat', 'dog']
)


def segments(**changes):
    labels = {A: CAT, B: CAT, C: DOG, D: GRASS, E: GRASS} | changes.get(
        'labels', {}
    )
    return [
        {'id': id_, 'label': label, 'iscrowd': int(id_ == C)}
        for id_, label in labels.items()
    ]


def mask(text):
    rows = [[int(cell) for cell in row] for row in text.split()]
    return torch.tensor(rows, dtype=torch.bool)


VALID = mask('1111 1110 1110 1100')
EXPECTED = {
    Task.SEMANTIC: (
        [CAT, GRASS],
        ['1111 1110 0000 0000', '0000 0000 1110 1100'],
    ),
    Task.INSTANCE: (
        [CAT, CAT],
        ['1100 1100 0000 0000', '0011 0010 0000 0000'],
    ),
    Task.PANOPTIC: (
        [CAT, CAT, GRASS, GRASS],
        [
            '1100 1100 0000 0000',
            '0011 0010 0000 0000',
            '0000 0000 1100 1100',
            '0000 0000 0010 0000',
        ],
    ),
}


@pytest.mark.parametrize('task', list(Task))
def test_background_is_valid_and_of_no_mask(task):
    background = SEGMENT_MAP.clone()
    background[3, 2] = BACKGROUND_SEGMENT_ID

    found = task_targets(background, segments(), VOCABULARY, task)

    without = task_targets(SEGMENT_MAP, segments(), VOCABULARY, task)
    assert torch.equal(found.masks, without.masks)
    assert torch.equal(found.labels, without.labels)
    assert torch.equal(found.valid, mask('1111 1110 1110 1110'))


@pytest.mark.parametrize('task', list(Task))
def test_masks_of_each_task_by_hand(task):
    targets = task_targets(SEGMENT_MAP, segments(), VOCABULARY, task)

    labels, masks = EXPECTED[task]
    assert targets.labels.tolist() == labels
    assert targets.labels.dtype == torch.int64
    assert targets.masks.dtype == torch.bool
    assert torch.equal(targets.masks, torch.stack([mask(m) for m in masks]))
    # The crowd, void and padding are ignored whatever the task; stuff stays
    # valid background of the instance task.
    assert torch.equal(targets.valid, VALID)


@pytest.mark.parametrize('task', list(Task))
def test_exact_crowd_teaches_its_class_but_no_object(task):
    exact = [s | {'exact': s['iscrowd']} for s in segments()]

    targets = task_targets(SEGMENT_MAP, exact, VOCABULARY, task)

    if task is Task.SEMANTIC:
        assert targets.labels.tolist() == [CAT, DOG, GRASS]
        assert torch.equal(targets.masks[1], mask('0000 0001 0001 0000'))
        assert torch.equal(targets.valid, mask('1111 1111 1111 1100'))
    else:
        assert targets.labels.tolist() == EXPECTED[task][0]
        assert torch.equal(targets.valid, VALID)


@pytest.mark.parametrize('task', list(Task))
def test_masks_do_not_overlap_and_lie_in_valid(task):
    targets = task_targets(SEGMENT_MAP, segments(), VOCABULARY, task)

    count = targets.masks.sum(0)
    assert count.max() == 1
    assert not (count.bool() & ~targets.valid).any()


def test_classes_keep_their_own_masks_when_segments_come_in_any_order():
    shuffled = [segments()[i] for i in (3, 0, 2, 4, 1)]

    targets = task_targets(SEGMENT_MAP, shuffled, VOCABULARY, Task.SEMANTIC)

    assert targets.labels.tolist() == [CAT, GRASS]
    assert torch.equal(targets.masks[0], mask('1111 1110 0000 0000'))


@pytest.mark.parametrize('padding', [0, 255])
@pytest.mark.parametrize('task', list(Task))
def test_padding_of_other_transforms_is_ignored(task, padding):
    whole = torch.full((2, 2), padding, dtype=torch.int32)

    targets = task_targets(whole, segments(), VOCABULARY, task)

    assert targets.masks.shape == (0, 2, 2)
    assert not targets.valid.any()


def test_first_segment_id_is_above_every_padding_value():
    assert FIRST_SEGMENT_ID > 255


@pytest.mark.parametrize('task', list(Task))
def test_no_segments_give_no_masks_and_nothing_valid(task):
    targets = task_targets(SEGMENT_MAP, [], VOCABULARY, task)

    assert targets.labels.shape == (0,)
    assert targets.masks.shape == (0, 4, 4)
    assert not targets.valid.any()


def test_image_of_stuff_has_no_instances_but_valid_background():
    stuff = [s for s in segments() if s['label'] == GRASS]

    targets = task_targets(SEGMENT_MAP, stuff, VOCABULARY, Task.INSTANCE)

    assert targets.masks.shape == (0, 4, 4)
    assert torch.equal(targets.valid, mask('0000 0000 1110 1100'))


def test_segments_cropped_away_leave_no_empty_mask():
    targets = task_targets(
        SEGMENT_MAP[:2, :2], segments(), VOCABULARY, Task.PANOPTIC
    )

    assert targets.labels.tolist() == [CAT]
    assert targets.masks.all()


def test_thing_and_stuff_come_from_the_vocabulary():
    turned = Vocabulary.from_names(['cat', 'dog', 'grass'], things=['grass'])

    targets = task_targets(SEGMENT_MAP, segments(), turned, Task.INSTANCE)

    assert targets.labels.tolist() == [GRASS, GRASS]


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


@pytest.mark.parametrize(
    ('num_classes', 'label'), [(1, 255), (255, 255), (256, 256), (1203, 1203)]
)
def test_void_is_the_label_of_no_class(num_classes, label):
    assert void_label(num_classes) == label
