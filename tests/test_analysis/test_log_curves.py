import math

import pytest

from freeseg_mm.analysis.logs import (
    Curve,
    Log,
    choose_curves,
    curves_figure,
    smooth,
)

POINTS = [(10, 4.0), (20, 2.0)]


def log(*keys):
    return Log(dict.fromkeys(keys, POINTS), [10, 20])


def test_smoothing_by_hand():
    """Sums 0.5, 1.75, 3.375 over weights 0.5, 0.75, 0.875."""
    result = smooth([1, 3, 5], 0.5)
    assert result == pytest.approx([1, 1.75 / 0.75, 3.375 / 0.875])


def test_no_smoothing_changes_nothing():
    assert smooth([3.0, 1.0], 0) == [3.0, 1.0]


def test_smoothing_steps_over_what_is_no_number():
    result = smooth([1, math.nan, 3], 0.5)
    assert math.isnan(result[1])
    assert result[2] == pytest.approx(1.75 / 0.75)


@pytest.mark.parametrize('weight', [-0.1, 1, 2])
def test_weight_has_a_range(weight):
    with pytest.raises(ValueError, match=f'0 <= weight < 1, got {weight}'):
        smooth([1], weight)


@pytest.mark.parametrize(
    ('names', 'keys', 'expected'),
    [
        (['a'], ['loss'], ['loss']),
        (['a'], ['loss', 'lr'], ['loss', 'lr']),
        (['a', 'b'], ['loss'], ['a', 'b']),
        (
            ['a', 'b'],
            ['loss', 'lr'],
            ['a loss', 'a lr', 'b loss', 'b lr'],
        ),
    ],
)
def test_legend_says_what_differs(names, keys, expected):
    curves = choose_curves(dict.fromkeys(names, log('loss', 'lr')), keys)
    assert [curve.name for curve in curves] == expected


def test_given_legend():
    logs = {'a': log('loss'), 'b': log('loss')}
    curves = choose_curves(logs, ['loss'], ['first', 'second'])
    assert [curve.name for curve in curves] == ['first', 'second']


def test_legend_must_fit():
    with pytest.raises(ValueError, match='expected 2 names, .* got 1'):
        choose_curves({'a': log('x', 'y')}, ['x', 'y'], ['one'])


def test_unknown_key_lists_those_there_are():
    message = "b has no key 'lss'; it has loss, lr, x/y"
    with pytest.raises(ValueError, match=message):
        choose_curves(
            {'a': log('lss'), 'b': log('x/y', 'loss', 'lr')}, ['lss']
        )


def test_key_without_a_number():
    logs = {'a': Log({'x/y': [(1, math.nan)]}, [1])}
    with pytest.raises(ValueError, match="a: no value of 'x/y' is a number"):
        choose_curves(logs, ['x/y'])


def test_kinds_have_their_panels():
    keys = ['loss', 'd0.loss_cls', 'semantic/mIoU', 'panoptic/PQ', 'lr']
    curves = [Curve(key, key, POINTS) for key in keys]
    figure = curves_figure(curves, title='costs $ 5')
    panels = {
        axes.get_ylabel(): [line.get_label() for line in axes.lines]
        for axes in figure.axes
    }
    assert panels == {
        'loss': ['loss', 'd0.loss_cls'],
        '%': ['semantic/mIoU', 'panoptic/PQ'],
        'lr': ['lr'],
    }
    assert figure.axes[-1].get_xlabel() == 'iteration'
    assert figure.get_suptitle() == r'costs \$ 5'


def test_curves_differ_in_more_than_colour():
    curves = [Curve('loss', str(number), POINTS) for number in range(9)]
    (axes,) = curves_figure(curves).axes
    looks = {(line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(looks) == 9


def test_smoothed_curve_keeps_its_values_faint():
    (axes,) = curves_figure([Curve('loss', 'loss', POINTS)], weight=0.5).axes
    raw, smoothed = axes.lines
    assert list(raw.get_ydata()) == [4, 2]
    assert raw.get_alpha() < 0.5
    assert list(smoothed.get_ydata()) == pytest.approx([4, 2 / 0.75])
