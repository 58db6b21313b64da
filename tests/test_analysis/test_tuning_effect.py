import math

import numpy as np
import pytest
import torch
from PIL import Image

from freeseg_mm.analysis.tuning import NOTHING, TuningEffect, shown_classes

# cat seen, dog unseen, grass seen, sky unseen; no-object is last
IS_SEEN = torch.tensor([True, False, True, False])
DOG, SKY = 1, 3


def logits_for(*classes, others=0.0):
    """Logits of log(3) for a class each, of `others` for the rest."""
    logits = torch.full((len(classes), 5), others)
    logits[torch.arange(len(classes)), torch.tensor(classes)] = math.log(3)
    return logits


@pytest.fixture
def make_meta(tmp_path):
    """Write the class of every pixel, 255 for none; gives a sample's meta."""

    def make(gt):
        path = tmp_path / 'truth.png'
        Image.fromarray(gt.astype(np.uint8)).save(path)
        return {'sem_seg_path': str(path), 'ori_shape': gt.shape}

    return make


def test_counts_by_the_truth():
    effect = TuningEffect()
    before = logits_for(DOG, DOG, DOG, SKY, SKY, DOG)
    after = logits_for(SKY, DOG, SKY, SKY, SKY, SKY)
    shown = torch.tensor([DOG, 0, SKY, DOG, NOTHING, 2])

    effect.add(before, after, shown, IS_SEEN, 'unseen')

    assert effect.queries == 6
    assert effect.right == 1
    assert effect.on_seen == 2
    assert effect.on_other_unseen == 2
    assert effect.on_nothing == 1
    assert effect.turned == 3
    assert effect.turned_right == 1
    assert effect.turned_wrong == 1


def test_entropies_are_sums_over_queries():
    effect = TuningEffect()
    even = torch.zeros(1, 5)
    # of dog and sky: 3 / 4 and 1 / 4
    sure = logits_for(DOG)
    for _ in range(2):
        effect.add(even, sure, torch.tensor([DOG]), IS_SEEN, 'unseen')

    assert effect.entropy_before == pytest.approx(math.log(2))
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effect.entropy_after == pytest.approx(expected)


def test_columns_decide_the_entropy():
    effect = TuningEffect()
    # of all five: 3 / 7 for dog, 1 / 7 for sky
    logits = logits_for(DOG)
    effect.add(logits, logits, torch.tensor([DOG]), IS_SEEN, 'all')
    expected = -(3 / 7 * math.log(3 / 7) + 1 / 7 * math.log(1 / 7)) / 2
    assert effect.entropy_before == pytest.approx(expected)


def test_lines_give_shares():
    effect = TuningEffect()
    assert effect.lines() == ['confident queries: 0']
    effect.add(
        logits_for(DOG, DOG, SKY),
        logits_for(DOG, SKY, SKY),
        torch.tensor([DOG, 0, DOG]),
        IS_SEEN,
        'unseen',
    )
    assert effect.lines() == [
        'confident queries: 3',
        '  name the class that their mask shows: 1 (33.3 %)',
        '  lie on a seen class: 1 (33.3 %)',
        '  lie on another unseen class: 1 (33.3 %)',
        '  lie on pixels without a label: 0 (0.0 %)',
        'tuning makes 1 (33.3 %) say another class: 0 turn right, '
        '0 were right',
        'mean entropy: 0.2812 before, 0.2812 after',
    ]


def test_a_mask_shows_the_class_of_most_labelled_pixels(make_meta):
    gt = np.full((4, 6), 3)
    gt[:, 3:] = 1
    gt[0, :] = 255
    meta = make_meta(gt)
    meta |= {'batch_input_shape': (4, 8), 'img_shape': (4, 6)}
    masks = torch.full((5, 4, 8), -1.0)
    masks[0, :, :4] = 1  # nine pixels of sky, three of dog, four void
    masks[1, :, 2:] = 1  # the padding is no part of the image
    masks[2, 0] = 1  # void alone
    masks[4, 3, 5] = 1

    assert shown_classes(masks, meta, 4).tolist() == [
        SKY,
        DOG,
        NOTHING,
        NOTHING,
        DOG,
    ]
    assert shown_classes(masks[:0], meta, 4).shape == (0,)


def test_masks_are_enlarged_to_the_original_image(make_meta):
    gt = np.repeat([[1, 3]], 4, 0).repeat(4, 1)
    meta = make_meta(gt)
    # an image of (4, 8) that was tested at (2, 4), padded to (4, 4)
    meta |= {'batch_input_shape': (4, 4), 'img_shape': (2, 4)}
    masks = torch.full((1, 2, 2), -1.0)
    masks[0, 0, 1] = 1

    assert shown_classes(masks, meta, 4).tolist() == [SKY]
