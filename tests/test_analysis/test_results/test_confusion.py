import numpy as np
import pytest

from freeseg_mm.analysis.results.confusion import (
    Mistake,
    confusion_figure,
    count_confusion,
    largest_mistakes,
    most_confused,
    row_shares,
    shown_shares,
    split_shares,
)
from freeseg_mm.evaluation.semantic_iou import (
    count_class_pixels,
    iou_per_class,
)

VOID = -1


def test_two_by_three_map():
    """One pixel of class 0 is called 1, one of 2 is called 0."""
    gt = np.array([[0, 0, 1], [2, VOID, 1]])
    pred = np.array([[0, 1, 1], [0, 2, 1]])
    counts = count_confusion(pred, gt, 3, VOID)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert row_shares(counts).tolist() == [
        [0.5, 0.5, 0.0],
        [0.0, 1.0, 0.0],
        [1.0, 0.0, 0.0],
    ]


def test_prediction_of_no_class_is_left_out():
    gt, pred = np.array([[0, 0, 1]]), np.array([[0, 255, 255]])
    assert count_confusion(pred, gt, 2, VOID).tolist() == [[1, 0], [0, 0]]


def test_rows_without_pixels_have_no_share():
    shares = row_shares(np.array([[3, 1], [0, 0]]))
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()


def test_agrees_with_the_iou_of_the_metric():
    generator = np.random.default_rng(0)
    gt = generator.integers(-1, 5, (20, 30))
    pred = generator.integers(0, 5, (20, 30))
    counts = count_confusion(pred, gt, 5, VOID)
    both = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - both
    expected = iou_per_class(count_class_pixels(pred, gt, 5, VOID))
    np.testing.assert_allclose(both / union, expected)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r'shape \(1, 2\), .* truth \(2, 1'):
        count_confusion(np.zeros((1, 2)), np.zeros((2, 1)), 2, VOID)


@pytest.mark.parametrize(
    ('pred', 'gt', 'message'),
    [
        ([[5]], [[0]], 'the prediction holds classes 5 to 5; expected 0 to 1'),
        ([[0]], [[-2]], 'ground truth holds classes -2 to -2; expected 0'),
    ],
)
def test_classes_must_be_in_the_vocabulary(pred, gt, message):
    with pytest.raises(ValueError, match=message):
        count_confusion(np.array(pred), np.array(gt), 2, VOID)


COUNTS = np.array(
    [
        [90, 10, 0, 0],
        [4, 4, 0, 0],
        [5, 0, 5, 0],
        [0, 0, 0, 0],
    ]
)


def test_largest_mistakes_first():
    """Equal shares: more pixels come first."""
    assert largest_mistakes(COUNTS, 5) == [
        Mistake(2, 0, 5, 0.5),
        Mistake(1, 0, 4, 0.5),
        Mistake(0, 1, 10, 0.1),
    ]
    assert largest_mistakes(COUNTS, 1) == [Mistake(2, 0, 5, 0.5)]


def test_most_confused_lose_or_take():
    """0 loses 0.1 and takes 1, 1 loses 0.5 and takes 0.1, 2 loses 0.5."""
    assert most_confused(COUNTS, 1) == [0]
    assert most_confused(COUNTS, 2) == [0, 1]
    # class 3 does not occur
    assert most_confused(COUNTS, 9) == [0, 1, 2]


def test_where_seen_and_unseen_pixels_went():
    shares = split_shares(COUNTS, [True, False, False, False])
    assert shares == {
        'seen': {'right': 0.9, 'another seen': 0, 'another unseen': 0.1},
        'unseen': {
            'right': 0.5,
            'another seen': 0.5,
            'another unseen': 0,
        },
    }


def test_split_without_pixels_is_left_out():
    assert list(split_shares(np.diag([1, 0]), [True, False])) == ['seen']


PIXELS = np.array(
    [[6, 1, 3, 0], [0, 0, 0, 0], [0, 0, 5, 0], [1, 0, 1, 2]],
)


def test_others_share_the_last_column():
    shares = shown_shares(PIXELS, [0, 3])
    assert shares.tolist() == [[0.6, 0.0, 0.4], [0.25, 0.5, 0.25]]


def test_all_classes_need_no_others():
    shares = shown_shares(PIXELS, range(4))
    assert shares.shape == (4, 4)
    assert shares[2].tolist() == [0, 0, 1, 0]
    assert np.isnan(shares[1]).all()


def test_names_and_numbers_are_written(vocabulary):
    figure = confusion_figure(PIXELS, vocabulary, [0, 3])
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
