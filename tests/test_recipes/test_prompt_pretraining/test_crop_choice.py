"""Which masks are chosen, counted by hand."""

from collections import Counter
from types import SimpleNamespace

import pytest

from freeseg_mm.recipes.prompt_pretraining import choose_crops
from freeseg_mm.structures import Task, Vocabulary

CLASSES = Vocabulary.from_names(['cat', 'grass'], things=['cat'])


def segment(label, **flags):
    return {'id': 1, 'label': label, 'iscrowd': 0, **flags}


class Records(SimpleNamespace):
    """What :func:`choose_crops` reads of a dataset."""

    def __len__(self):
        return len(self.records)

    def get_data_info(self, index):
        return {'segments': self.records[index]}


def records(*images):
    return Records(
        records=images, sample_vocabulary=CLASSES, ann_file='gt.json'
    )


def choose(*images, per_class=3, held_out=0.2, seed=0):
    return choose_crops(
        records(*images), per_class=per_class, held_out=held_out, seed=seed
    )


def test_as_many_of_a_rare_class_as_of_a_frequent_one():
    both, one = [segment(0), segment(0), segment(1)], [segment(1)]
    choice = choose(*[both] * 11, *[one] * 29)

    counts = {False: Counter(), True: Counter()}
    for index, chosen in choice.masks.items():
        counts[bool(choice.is_held_out[index])].update(chosen)
    # a fifth of the images is apart, and a fifth of 3 is 1
    assert choice.is_held_out.sum() == 8
    stuff = [(Task.SEMANTIC, 1), (Task.PANOPTIC, 1)]
    assert [counts[False][each] for each in stuff] == [3, 3]
    assert [counts[True][each] for each in stuff] == [1, 1]
    for task in Task:
        assert counts[False][task, 0] == 3
        assert counts[True][task, 0] <= 1
    assert (Task.INSTANCE, 1) not in counts[False] | counts[True]


def test_crowds_are_left_out_unless_exact():
    images = [[segment(0, iscrowd=1), segment(1, iscrowd=1, exact=1)]] * 4
    choice = choose(*images, held_out=0.5)

    found = {each for chosen in choice.masks.values() for each in chosen}
    assert found == {(Task.SEMANTIC, 1)}


def test_seed_decides():
    images = [[segment(0)]] * 40
    first, same, other = (choose(*images, seed=seed) for seed in (0, 0, 1))

    assert first.masks == same.masks
    assert first.masks != other.masks


@pytest.mark.parametrize(
    ('images', 'purpose'),
    [([[segment(0)]], 'test on'), ([[], []], 'learn from')],
)
def test_refuses_what_leaves_nothing(images, purpose):
    with pytest.raises(
        ValueError,
        match=rf'gt\.json: no mask of a seen class is left to {purpose}, '
        r'with held_out=0\.2 of \d images',
    ):
        choose(*images)
