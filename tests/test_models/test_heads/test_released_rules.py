"""The authors' rules on pictures small enough to follow by hand."""

import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.heads.ensemble import ensemble_scores
from freeseg_mm.models.heads.mask_results import (
    Instances,
    enlarge_masks,
    released_instances,
    released_panoptic,
    resize_results,
    semantic_labels,
)

IS_THING = torch.tensor([True, False, True])


def logits(*masks):
    """Mask logits from pictures: 9 is logit 4, 1 is 0.2, 0 is -4."""
    values = {'9': 4.0, '1': 0.2, '0': -4.0}
    return torch.tensor(
        [[[values[x] for x in row] for row in mask.split()] for mask in masks]
    )


def panoptic(probs, masks):
    result = released_panoptic(torch.tensor(probs), masks, IS_THING, 0.5, 0.5)
    labels = result.labels[result.begins].tolist()
    ids = result.ids[result.begins].tolist()
    number = {3: 0, **{id_: 1 + place for place, id_ in enumerate(ids)}}
    return labels, [
        [number[x] for x in row] for row in result.sem_seg[0].tolist()
    ]


def test_panoptic_by_hand():
    masks = logits(
        '9900 9900 0000 0000',  # a thing
        '0099 0099 0099 0099',  # stuff
        '0000 0000 9900 9900',  # the same stuff
    )
    probs = [[0.5, 0.1, 0.1], [0.1, 0.4, 0.1], [0.1, 0.3, 0.1]]
    labels, numbers = panoptic(probs, masks)
    assert labels == [0, 1]
    assert numbers == [[1, 1, 2, 2]] * 2 + [[2, 2, 2, 2]] * 2


def test_a_thing_needs_a_sharpened_half_and_stuff_nothing():
    # of three classes p = (a + d, a, a) has a half at d = ln 2 / 100
    masks = logits('9900 9900 9900 9900', '0099 0099 0099 0099')
    for gain, expected in ((0.006, [1]), (0.008, [0, 1])):
        probs = [[0.1 + gain, 0.1, 0.1], [0.1, 0.102, 0.1]]
        assert panoptic(probs, masks)[0] == expected


def test_less_than_half_of_a_mask_is_no_segment():
    # the second mask has 8 pixels, of which the first leaves 4, then 2
    first = '9999 9999 0000 0000', '9999 9999 9900 0000'
    for mask, expected in zip(first, ([0, 2], [0]), strict=True):
        masks = logits(mask, '0000 9999 9999 0000')
        probs = [[0.9, 0.0, 0.0], [0.0, 0.0, 0.4]]
        assert panoptic(probs, masks)[0] == expected


def test_a_later_thing_of_a_class_lies_on_top():
    masks = logits('9999 9999 0000 0000', '0000 9999 9999 0000')
    labels, numbers = panoptic([[0.9, 0.0, 0.0], [0.2, 0.0, 0.0]], masks)
    assert labels == [0, 0]
    assert numbers == [[1] * 4, [2] * 4, [2] * 4, [0] * 4]
    # and one that is wholly covered is no segment
    labels, numbers = panoptic(
        [[0.9, 0.0, 0.0]] * 2, logits('9900 9900 0000 0000', '9999 ' * 4)
    )
    assert labels == [0]


def test_panoptic_without_masks():
    result = released_panoptic(
        torch.zeros(0, 3), torch.zeros(0, 4, 4), IS_THING, 0.5, 0.5
    )
    assert result.sem_seg.unique().tolist() == [3]


def instances(probs, masks, is_thing=IS_THING):
    found = released_instances(torch.tensor(probs), masks, is_thing, 0.5, 0.5)
    count = int((found.scores > 0).sum())
    return found.labels[:count].tolist(), found.scores[:count], found.masks


def test_instances_by_hand():
    masks = logits('9990 0000 0000 0000', '0000 0000 9999 1000')
    labels, scores, found = instances(
        [[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]], masks
    )
    assert labels == [0]  # the other is stuff
    assert_close(scores, torch.tensor([0.982014]), rtol=0, atol=1e-5)
    assert torch.equal(found[0], masks[0] > 0)
    # a pixel of logit 0.2 is in the mask, and not among the certain ones
    masks = logits('1110 0000 0000 0000')
    assert instances([[0.9, 0.0, 0.0]], masks)[0] == []


def test_the_last_class_is_no_instance():
    masks = logits('9990 0000 0000 0000')
    assert instances([[0.0, 0.0, 0.9]], masks)[0] == []
    more = torch.tensor([True, False, True, False])
    assert instances([[0.0, 0.0, 0.9, 0.0]], masks, more)[0] == [2]
    assert instances([[0.9]], masks, torch.tensor([True]))[0] == []


@pytest.mark.parametrize(
    ('second', 'kept'),
    [('0000 0000 9990 0000', 1), ('0000 0000 9900 0000', 2)],
)
def test_the_largest_is_dropped_if_the_others_cover_as_much(second, kept):
    # 3 pixels, and 3 or 2 elsewhere: more than 0.8 of them or less
    masks = logits('9990 0000 0000 0000', second)
    labels, _, found = instances([[0.9, 0.0, 0.0]] * 2, masks)
    assert len(labels) == kept
    if kept == 1:
        assert torch.equal(found[0], masks[1] > 0)


def test_instances_without_masks():
    found = released_instances(
        torch.zeros(0, 3), torch.zeros(0, 4, 4), IS_THING, 0.5, 0.5
    )
    assert len(found.scores) == 0


def test_ensemble_by_hand():
    # query softmax 0.3, 0.1 and no-object 0.6; CLIP 0.8, 0.2
    query = torch.tensor([0.3, 0.1, 0.6]).log().view(1, 1, 1, 3)
    clip = torch.tensor([0.8, 0.2]).log().view(1, 1, 1, 2)
    options = {'mode': 'released', 'seen_weight': 0.8, 'unseen_weight': 0.2}
    is_seen = torch.tensor([True, False])

    found = ensemble_scores(query, clip, is_seen, **options)

    expected = torch.tensor([0.3**0.8 * 0.8**0.2, 0.1**0.2 * 0.2**0.8])
    assert_close(found.flatten(), expected)
    empty = ensemble_scores(
        query, clip, is_seen, **options, is_empty=torch.ones(1, 1, 1).bool()
    )
    assert_close(empty.flatten(), torch.tensor([0.3**0.8, 0.1**0.2]))


def test_corners_are_aligned():
    masks = torch.tensor([[[0.0, 3.0], [6.0, 9.0]]])
    aligned = enlarge_masks(masks, (4, 4), aligned_corners=True)
    rows = torch.tensor([0.0, 2.0, 4.0, 6.0])[:, None]
    assert_close(aligned[0], rows + torch.tensor([0.0, 1.0, 2.0, 3.0]))
    usual = enlarge_masks(masks, (4, 4))
    assert_close(usual[0, 0], torch.tensor([0.0, 0.75, 2.25, 3.0]))


def test_semantic_sums_are_resized_before_the_best_class_is_taken():
    # two classes, each on one half, of probabilities 0.9 and 0.3
    masks = torch.tensor([[[20.0, -20.0]], [[-20.0, 20.0]]])
    probs = torch.tensor([[0.9, 0.0], [0.0, 0.3]])
    # at quarters of the way 0.9 (1 - x) against 0.3 x, x = 1/8, 3/8, 5/8, 7/8
    found = semantic_labels(probs, masks, (1, 8))
    x = torch.tensor([0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1])
    expected = (0.3 * x > 0.9 * (1 - x)).long()
    assert found[0, 0].tolist() == expected.tolist() == [0] * 5 + [1] * 3


def test_instances_that_lose_their_last_pixel_are_dropped():
    masks = logits('9000 0000 0000 0000', '0900 0990 0000 0000') > 0
    result = resize_results(
        Instances(torch.tensor([0.9, 0.5]), torch.tensor([0, 2]), masks),
        (2, 2),
    )
    assert result.scores.tolist() == [0.5, 0]
    assert result.labels.tolist() == [2, 0]
    assert result.masks[0].tolist() == [[True, False], [False, False]]
