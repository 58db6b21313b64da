import numpy as np

from freeseg_mm.analysis.results.confusion import (
    confusion_figure,
    shown_shares,
)

COUNTS = np.array(
    [[6, 1, 3, 0], [0, 0, 0, 0], [0, 0, 5, 0], [1, 0, 1, 2]],
)


def test_others_share_the_last_column():
    shares = shown_shares(COUNTS, [0, 3])
    assert shares.tolist() == [[0.6, 0.0, 0.4], [0.25, 0.5, 0.25]]


def test_all_classes_need_no_others():
    shares = shown_shares(COUNTS, range(4))
    assert shares.shape == (4, 4)
    assert shares[2].tolist() == [0, 0, 1, 0]
    assert np.isnan(shares[1]).all()


def test_names_and_numbers_are_written(vocabulary):
    figure = confusion_figure(COUNTS, vocabulary, [0, 3])
    axes = figure.axes[0]
    columns = [tick.get_text() for tick in axes.get_xticklabels()]
    assert columns == ['cat', '★ sky', 'all other classes']
    rows = [tick.get_text() for tick in axes.get_yticklabels()]
    assert rows == ['cat', '★ sky']
    written = [(t.get_position(), t.get_text()) for t in axes.texts]
    assert written == [
        ((0, 0), '60'),
        ((2, 0), '40'),
        ((0, 1), '25'),
        ((1, 1), '50'),
        ((2, 1), '25'),
    ]
    # the right ones are framed
    frames = [frame.get_xy() for frame in axes.patches]
    assert frames == [(-0.5, -0.5), (0.5, 0.5)]
