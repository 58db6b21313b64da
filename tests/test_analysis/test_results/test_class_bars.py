import pytest
from matplotlib.colors import to_hex

from freeseg_mm.analysis.results.class_bars import class_bars, sorted_scores
from freeseg_mm.evaluation.results import ClassScore


def score(name, value, is_seen=True):
    return ClassScore(name, is_seen, True, value)


SCORES = [
    score('low', 10.0),
    score('absent', None),
    score('none', 0.0),
    score('unseen', 60.0, is_seen=False),
    score('a $ sign $', 50.0),
]


def names(scores):
    return [item.name for item in scores]


def test_best_first_without_the_absent():
    expected = ['unseen', 'a $ sign $', 'low', 'none']
    assert names(sorted_scores(SCORES)) == expected


def test_bars_tell_seen_from_unseen_without_colour():
    figure = class_bars(SCORES, title='Semantic', measure='IoU')
    (axes,) = figure.axes
    bars = axes.patches
    assert [bar.get_width() for bar in bars] == [60, 50, 10, 0]
    assert [bar.get_hatch() for bar in bars] == ['////', None, None, None]
    assert len({to_hex(bar.get_facecolor()) for bar in bars}) == 2
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ['★ unseen', r'a \$ sign \$', 'low', 'none']


def test_means_by_hand():
    """(10 + 0 + 50) / 3 seen; the absent class is no 0."""
    figure = class_bars(SCORES, title='Semantic', measure='IoU')
    lines = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert lines == pytest.approx([20, 60])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        'seen (3 classes)',
        'mean of seen: 20.0',
        '★ unseen (1 classes)',
        'mean of ★ unseen: 60.0',
    ]


def test_many_classes_make_columns():
    many = [score(str(number), float(number)) for number in range(100)]
    figure = class_bars(many, title='Semantic', measure='IoU')
    bars = [[bar.get_width() for bar in a.patches] for a in figure.axes]
    assert [len(column) for column in bars] == [34, 34, 32]
    assert sum(bars, []) == [float(n) for n in reversed(range(100))]


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='Semantic: no class occurs'):
        class_bars(SCORES[1:2], title='Semantic', measure='IoU')
