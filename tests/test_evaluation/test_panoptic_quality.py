from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest

from freeseg_mm.evaluation.panoptic_quality import (
    count_panoptic,
    index_segments,
    panoptic_quality,
)
from freeseg_mm.utils.panoptic_png import encode_panoptic_png


def segments(*rows):
    return [
        {'id': row[0], 'label': row[1], 'iscrowd': row[2] if row[2:] else 0}
        for row in rows
    ]


# --- by hand ---------------------------------------------------------------


def test_counts_and_quality_by_hand():
    gt = np.array(
        [
            [1, 1, 1, 1, 2, 2],
            [1, 1, 1, 1, 2, 2],
            [0, 0, 3, 3, 3, 3],
        ]
    )
    pred = np.array(
        [
            [7, 7, 7, 8, 8, 8],
            [7, 7, 7, 8, 8, 8],
            [7, 7, 9, 9, 5, 5],
        ]
    )
    counts = count_panoptic(
        pred,
        segments((7, 0), (8, 0), (9, 1), (5, 1)),
        gt,
        segments((1, 0), (2, 0), (3, 1)),
        num_classes=3,
    )
    # 7 on 1: 6 shared, 7 has 8 of which 2 are void: 6 / (8 + 8 - 6 - 2)
    # 8 on 2: 4 shared, 6 + 4 - 4: 4 / 6
    # 9 and 5 on 3: 2 / 4 each, which is not more than a half
    assert counts[0].tolist() == [2, 0, 0]  # matched
    assert counts[1].tolist() == [0, 2, 0]  # false positives
    assert counts[2].tolist() == [0, 1, 0]  # false negatives
    np.testing.assert_allclose(counts[3], [6 / 8 + 4 / 6, 0, 0])
    quality = panoptic_quality(counts)
    # class 0: (3/4 + 2/3) / 2 = 17/24; class 1 never right; class 2 absent
    np.testing.assert_allclose(quality['PQ'], [17 / 24, 0, np.nan])
    np.testing.assert_allclose(quality['SQ'], [17 / 24, 0, np.nan])
    np.testing.assert_allclose(quality['RQ'], [1, 0, np.nan])


def test_quality_by_hand():
    # TP 3, FP 1, FN 2, IoU sum 2.4: PQ 2.4 / 4.5, SQ 2.4 / 3, RQ 3 / 4.5
    quality = panoptic_quality(np.array([[3.0], [1.0], [2.0], [2.4]]))
    np.testing.assert_allclose(quality['PQ'], 2.4 / 4.5)
    np.testing.assert_allclose(quality['SQ'], 0.8)
    np.testing.assert_allclose(quality['RQ'], 3 / 4.5)


def test_prediction_mostly_on_void_or_crowd_is_no_false_positive():
    # 10 pixels a row: void / crowd of class 0 / segment of class 1
    gt = np.repeat([[0, 4, 2]], [6, 3, 3], axis=1)
    real = segments((4, 0, 1), (2, 1, 0))

    def false_positives(pred, label):
        counts = count_panoptic(
            np.array([pred]), segments((1, label)), gt, real, 2
        )
        return counts[1].tolist()

    on_void = [1] * 6 + [0] * 3 + [1] * 3
    assert false_positives(on_void, 0) == [0, 0]  # 6 of 9 void
    exactly_half = [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3
    assert false_positives(exactly_half, 0) == [1, 0]  # 3 of 6 void
    void_and_crowd = [0] * 5 + [1] * 5 + [0] * 2
    assert false_positives(void_and_crowd, 0) == [0, 0]  # 1 + 3 of 5
    assert false_positives(void_and_crowd, 1) == [0, 1]  # 1 of 5: other crowd


def test_crowd_is_neither_matched_nor_missed():
    gt = np.full((3, 3), 4)
    real = segments((4, 0, 1))
    hit = count_panoptic(gt, segments((4, 0)), gt, real, 1)
    missed = count_panoptic(np.zeros_like(gt), [], gt, real, 1)
    assert not hit.any()
    assert not missed.any()


def test_unlisted_predicted_ids_are_void():
    gt = np.array([[1, 1, 1, 2]])
    pred = np.array([[1, 1, 9, 9]])
    counts = count_panoptic(
        pred, segments((1, 0)), gt, segments((1, 0), (2, 0)), 1
    )
    np.testing.assert_allclose(counts[:, 0], [1, 0, 1, 2 / 3])


def test_empty_prediction_misses_everything():
    gt = np.array([[1, 2], [0, 3]])
    counts = count_panoptic(
        np.zeros((2, 2), int), [], gt, segments((1, 0), (2, 1), (3, 1)), 3
    )
    assert counts.tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 0], [0, 0, 0]]


def test_everything_void_counts_nothing():
    counts = count_panoptic(
        np.ones((4, 4), int), segments((1, 0)), np.zeros((4, 4), int), [], 2
    )
    assert not counts.any()
    assert np.isnan(panoptic_quality(counts)['PQ']).all()


def test_true_segment_without_pixels_is_missed():
    counts = count_panoptic(
        np.ones((2, 2), int),
        segments((1, 0)),
        np.ones((2, 2), int),
        segments((1, 0), (2, 0)),
        1,
    )
    assert counts[:, 0].tolist() == [1, 0, 1, 1]


# --- other implementations -------------------------------------------------


def random_case(seed, num_segments, num_classes, size, crowds=0.2, kept=0.8):
    """Overlapping rectangles; the prediction is a shaken copy of them."""
    rng = np.random.default_rng(seed)
    gt = np.zeros((size, size), int)
    pred = np.zeros((size, size), int)
    ids = rng.choice(256**3 - 1, 2 * num_segments, replace=False) + 1
    side = max(3, int(2 * size / np.sqrt(num_segments)))
    for true_id, pred_id in ids.reshape(-1, 2):
        top, left = rng.integers(0, size - 1, 2)
        height, width = rng.integers(2, side + 1, 2)
        gt[top : top + height, left : left + width] = true_id
        if rng.random() < kept:
            top, left = np.maximum([top, left] + rng.integers(-1, 2, 2), 0)
            pred[top : top + height, left : left + width] = pred_id
    label_of = {}
    for true_id, pred_id in ids.reshape(-1, 2).tolist():
        label_of[true_id] = label_of[pred_id] = int(rng.integers(num_classes))
        if rng.random() < 0.1:
            label_of[pred_id] = int(rng.integers(num_classes))
    real = [
        {'id': i, 'label': label_of[i], 'iscrowd': int(rng.random() < crowds)}
        for i in rng.permutation(np.unique(gt[gt > 0])).tolist()
    ]
    found = [
        {'id': i, 'label': label_of[i]}
        for i in rng.permutation(np.unique(pred[pred > 0])).tolist()
    ]
    return pred, found, gt, real, num_classes


def empty_prediction(case):
    pred, _, gt, real, num_classes = case
    return np.zeros_like(pred), [], gt, real, num_classes


def all_void(case):
    pred, found, gt, _, num_classes = case
    return pred, found, np.zeros_like(gt), [], num_classes


def one_crowd_per_class(case):
    pred, found, gt, real, num_classes = case
    for index, segment in enumerate(real):
        if any(
            other['iscrowd'] and other['label'] == segment['label']
            for other in real[:index]
        ):
            segment['iscrowd'] = 0
    return pred, found, gt, real, num_classes


CASES = {
    **{f'random{seed}': random_case(seed, 12, 4, 24) for seed in range(12)},
    **{
        f'one_class{seed}': random_case(seed, 10, 1, 20, kept=0.6)
        for seed in range(4)
    },
    'many_segments': random_case(0, 900, 5, 96, crowds=0.02),
    'one_segment': random_case(3, 1, 2, 8, crowds=0, kept=1),
    'empty_prediction': empty_prediction(random_case(1, 12, 4, 24)),
    'all_void': all_void(random_case(2, 12, 4, 24)),
    'more_crowd_than_not': random_case(5, 20, 3, 24, crowds=0.7),
}


def slow_counts(pred, found, gt, real, num_classes):
    """The definition, segment by segment, with sets of pixels."""

    def pixels(ids, wanted):
        return set(zip(*np.nonzero(ids == wanted), strict=True))

    void = pixels(gt, 0)
    counts = np.zeros((4, num_classes))
    missed = [s for s in real if not s['iscrowd']]
    for guess in found:
        mine = pixels(pred, guess['id'])
        ignored = set(void)
        last_crowd = None
        is_matched = False
        for segment in real:
            if segment['label'] != guess['label']:
                continue
            theirs = pixels(gt, segment['id'])
            if segment['iscrowd']:
                last_crowd = theirs
                continue
            iou = len(mine & theirs) / len((mine - void) | theirs)
            if iou > 0.5:
                assert not is_matched
                is_matched = True
                missed.remove(segment)
                counts[0, guess['label']] += 1
                counts[3, guess['label']] += iou
        ignored |= last_crowd or set()
        if not is_matched and len(mine & ignored) / len(mine) <= 0.5:
            counts[1, guess['label']] += 1
    for segment in missed:
        counts[2, segment['label']] += 1
    return counts


@pytest.mark.parametrize('name', CASES)
def test_equals_slow_definition(name):
    np.testing.assert_allclose(
        count_panoptic(*CASES[name]),
        slow_counts(*CASES[name]),
        rtol=1e-9,
        atol=1e-9,
    )


def test_cases_hold_what_they_are_for():
    total = sum(count_panoptic(*case).sum(axis=1) for case in CASES.values())
    assert (total > 20).all()
    pred, found, gt, real, _ = CASES['many_segments']
    assert min(len(found), len(real)) > 300
    assert any(s['iscrowd'] for s in real)
    assert (gt == 0).any()
    assert (pred == 0).any()


@pytest.mark.parametrize('name', CASES)
def test_equals_panopticapi(name, tmp_path, monkeypatch):
    # mmdet ships the function but takes three names from panopticapi, which
    # is not on PyPI: two constants it has, and these
    theirs = pytest.importorskip('mmdet.evaluation.functional.panoptic_utils')
    stat = lambda: defaultdict(  # noqa: E731
        lambda: SimpleNamespace(tp=0, fp=0, fn=0, iou=0.0)
    )
    monkeypatch.setattr(theirs, 'PQStat', stat)
    monkeypatch.setattr(
        theirs, 'rgb2id', lambda rgb: rgb.astype(int) @ [1, 256, 65536]
    )
    pred, found, gt, real, num_classes = CASES[name]
    annotations = []
    for folder, ids, listed in (('gt', gt, real), ('pred', pred, found)):
        (tmp_path / folder).mkdir()
        encode_panoptic_png(ids, tmp_path / folder / 'a.png')
        infos = [
            {
                'id': segment['id'],
                'category_id': segment['label'],
                'iscrowd': segment.get('iscrowd', 0),
                'area': int((ids == segment['id']).sum()),
            }
            for segment in listed
        ]
        annotations.append(
            {'image_id': 1, 'file_name': 'a.png', 'segments_info': infos}
        )
    result = theirs.pq_compute_single_core(
        0,
        [tuple(annotations)],
        str(tmp_path / 'gt'),
        str(tmp_path / 'pred'),
        dict.fromkeys(range(num_classes)),
    )
    expected = [
        [getattr(result[label], part) for label in range(num_classes)]
        for part in ('tp', 'fp', 'fn', 'iou')
    ]
    np.testing.assert_allclose(
        count_panoptic(*CASES[name]), expected, rtol=1e-9, atol=1e-9
    )


# --- properties ------------------------------------------------------------


def test_numbering_of_segments_does_not_matter():
    # with several crowds of a class, their order would matter
    pred, found, gt, real, num_classes = one_crowd_per_class(
        random_case(4, 15, 3, 30)
    )
    before = count_panoptic(pred, found, gt, real, num_classes)
    assert before[0].any()
    after = count_panoptic(
        np.where(pred > 0, 256**3 - pred, 0),
        [{**s, 'id': 256**3 - s['id']} for s in reversed(found)],
        gt,
        list(reversed(real)),
        num_classes,
    )
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_gt_as_prediction_is_perfect():
    _, _, gt, real, num_classes = random_case(6, 30, 6, 40, crowds=0)
    counts = count_panoptic(gt, real, gt, real, num_classes)
    quality = panoptic_quality(counts)
    present = sorted({segment['label'] for segment in real})
    for values in quality.values():
        np.testing.assert_array_equal(values[present], 1)
    assert counts[0].sum() == len(real)


def test_index_segments_numbers_by_position():
    ids = np.array([[5, 2, 9], [0, 9, 70000]])
    assert index_segments(ids, [9, 70000, 2]).tolist() == [
        [0, 3, 1],
        [0, 1, 2],
    ]
    assert not index_segments(ids, []).any()


# --- refusals --------------------------------------------------------------


def test_id_listed_twice_is_refused():
    with pytest.raises(ValueError, match=r'segment ids \[4\] are listed twic'):
        index_segments(np.zeros((2, 2), int), [4, 3, 4])


def test_other_size_is_refused():
    with pytest.raises(ValueError, match=r'shape \(2, 3\), .* truth \(2, 2'):
        count_panoptic(np.zeros((2, 3), int), [], np.zeros((2, 2), int), [], 2)


def test_predicted_segment_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r'predicted segments \[8\]'):
        count_panoptic(
            np.ones((2, 2), int),
            segments((1, 0), (8, 0)),
            np.zeros((2, 2), int),
            [],
            2,
        )


@pytest.mark.parametrize('label', [-1, 2])
@pytest.mark.parametrize('side', ['prediction', 'ground truth'])
def test_label_out_of_range_is_refused(side, label):
    ids = np.ones((2, 2), int)
    pred_label, true_label = (label, 0) if side == 'prediction' else (0, label)
    with pytest.raises(
        ValueError, match=rf'of the {side} have labels \[{label}\]; expected'
    ):
        count_panoptic(
            ids, segments((1, pred_label)), ids, segments((1, true_label)), 2
        )
