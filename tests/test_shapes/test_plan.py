from collections import Counter

import pytest

from freeseg_mm.shapes.classes import (
    STUFF,
    shapes_vocabulary,
    split_thing_name,
)
from freeseg_mm.shapes.plan import SPLITS, plan_split


@pytest.mark.parametrize('split', SPLITS)
def test_classes_occur_equally_often(split):
    plans = plan_split(split, 200, seed=0)
    scenes_with = Counter(
        name for plan in plans for name in {*plan.stuff, *plan.things}
    )
    things = [scenes_with[n] for n in shapes_vocabulary().names[:36]]
    # 200 scenes deal about 600 things from decks of 36: 17 each.
    assert min(things) >= 16
    assert max(things) - min(things) <= 1
    assert min(scenes_with[name] for name in STUFF) >= 50


def test_scene_shows_different_stuff_and_few_things():
    for plan in plan_split('train', 300, seed=1):
        assert len(plan.stuff) == len(set(plan.stuff))
        assert 2 <= len(plan.stuff) <= 3
        assert 2 <= len(plan.things) <= 5


def test_things_of_a_scene_differ_in_colour_but_for_twins():
    for plan in plan_split('train', 300, seed=1):
        different = set(plan.things)
        colours = {split_thing_name(name)[0] for name in different}
        assert len(colours) == len(different)


def test_some_scenes_show_twins():
    plans = plan_split('train', 300, seed=1)
    share = sum(len(set(p.things)) < len(p.things) for p in plans) / 300
    # Drawn with probability 0.3: three standard deviations are 0.08.
    assert share == pytest.approx(0.3, abs=0.08)


def test_unseen_things_are_shown_in_training_too():
    shown = {n for p in plan_split('train', 20, seed=0) for n in p.things}
    assert 'red triangle' in shown


def test_splits_and_seeds_differ_and_longer_splits_go_on():
    plans = plan_split('train', 30, seed=0)
    assert plans == plan_split('train', 50, seed=0)[:30]
    assert plans != plan_split('train', 30, seed=1)
    others = plan_split('val', 30, seed=0)
    assert [p.things for p in plans] != [p.things for p in others]
    seeds = {p.seed for p in plans} | {p.seed for p in others}
    assert len(seeds) == 60
