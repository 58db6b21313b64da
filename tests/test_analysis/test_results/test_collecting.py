import math
from types import SimpleNamespace

from freeseg_mm.analysis.results.collecting import (
    CollectHook,
    Collector,
    Worst,
)
from freeseg_mm.structures import Task

CAT, DOG, GRASS, SKY = range(4)


def keep(number, scores):
    worst = Worst(number)
    made = []
    for place, score in enumerate(scores):

        def make(place=place):
            made.append(place)
            return place

        worst.offer(score, make)
    return worst.sorted(), made


def test_the_lowest_scores_in_order():
    kept, _ = keep(3, [5, 1, 4, 2, 3])
    assert kept == [(1, 1), (2, 3), (3, 4)]


def test_of_equal_ones_the_first():
    kept, made = keep(2, [7, 7, 7, 7])
    assert kept == [(7, 0), (7, 1)]
    assert made == [0, 1]  # the others were never made


def test_a_better_one_makes_room():
    kept, made = keep(1, [5, 4, 6])
    assert kept == [(4, 1)]
    assert made == [0, 1]


def test_nothing_to_judge_is_not_kept():
    kept, _ = keep(2, [math.nan, 3])
    assert kept == [(3, 1)]


def test_items_need_no_order():
    worst = Worst(2)
    worst.offer(1, dict)
    worst.offer(1, dict)
    assert worst.sorted() == [(1, {}), (1, {})]


def test_none_may_be_kept():
    kept, made = keep(0, [1, 2])
    assert kept == made == []


def collector_of(vocabulary, number=2):
    return Collector(vocabulary, num_worst=number, score_thr=0.3)


def test_confusion_is_summed_and_the_worst_are_kept(make_tested, vocabulary):
    collector = collector_of(vocabulary)
    gt = [[GRASS, GRASS, SKY, SKY]]
    for name, prediction in {
        'right': gt,
        'half': [[GRASS, SKY, SKY, GRASS]],
        'wrong': [[SKY, SKY, GRASS, GRASS]],
    }.items():
        collector.add(make_tested(gt, prediction, name))
    assert collector.confusion.tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 3, 3],
        [0, 0, 3, 3],
    ]
    worst = collector.worst[Task.SEMANTIC].sorted()
    names = [(round(score, 2), item.name) for score, item in worst]
    # each of two classes: 1 pixel of 3 in the union
    assert names == [(0, 'wrong.png'), (33.33, 'half.png')]
    assert 'pred_sem_seg' not in worst[0][1].sample
    assert len(worst[0][1].prediction.regions) == 2
    # nothing is a thing here
    assert collector.worst[Task.INSTANCE].sorted() == []
    assert [name for name, _ in collector.scores] == [
        'right.png',
        'half.png',
        'wrong.png',
    ]


def test_task_that_was_not_predicted_is_left_out(make_tested, vocabulary):
    sample = make_tested([[CAT, GRASS]], [[CAT, GRASS]])
    del sample['pred_sem_seg'], sample['pred_panoptic_seg']
    collector = collector_of(vocabulary)
    collector.add(sample)
    assert collector.confusion is None
    assert list(collector.worst) == [Task.INSTANCE]


def test_instances_below_the_threshold_do_not_count(make_tested, vocabulary):
    sample = make_tested([[CAT, GRASS]], [[CAT, GRASS]])
    sample['pred_instances']['scores'][:] = 0.2
    collector = collector_of(vocabulary)
    collector.add(sample)
    ((score, specimen),) = collector.worst[Task.INSTANCE].sorted()
    assert score == 0
    assert specimen.prediction.regions == []


def test_hook_hands_over_every_prediction(make_tested, vocabulary, capsys):
    collector = collector_of(vocabulary)
    hook = CollectHook(collector)
    loader = SimpleNamespace(dataset=range(2))
    runner = SimpleNamespace(test_dataloader=loader)
    predictions = [
        SimpleNamespace(
            to_dict=lambda name=name: make_tested(
                [[CAT, GRASS]], [[CAT, GRASS]], name
            )
        )
        for name in ('one', 'two')
    ]
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, None, predictions)
    hook.after_test_epoch(runner)
    assert [name for name, _ in collector.scores] == ['one.png', 'two.png']
    assert '2/2' in capsys.readouterr().err
