import math

from freeseg_mm.analysis.results.collecting import Worst


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
