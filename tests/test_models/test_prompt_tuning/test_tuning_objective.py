"""Eq. 10 and 11 against numbers worked out by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.prompt_tuning import (
    entropy_loss,
    entropy_step,
    is_confident,
    query_entropy,
    unseen_log_scores,
)

LN2 = math.log(2)


def logs(*rows):
    return torch.tensor(rows).log()


def test_entropy_by_hand():
    scores = logs([0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.8, 0.1, 0.1])

    found = query_entropy(scores)

    # -(ln(1/2) / 2 + ln(1/4) / 4 + ln(1/4) / 4) / 3 = 1.5 ln 2 / 3
    sharp = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1)) / 3
    assert_close(found, torch.tensor([LN2 / 2, LN2 / 2, sharp]))


def test_entropy_of_even_and_of_certain_scores():
    even = torch.zeros(1, 15).log_softmax(-1)
    certain = torch.tensor([[200.0] + [0.0] * 14]).log_softmax(-1)

    assert query_entropy(even).item() == pytest.approx(0.1805, abs=1e-4)
    assert query_entropy(certain).item() == 0


def test_unseen_scores_by_hand():
    # of a seen class, two unseen ones and no-object
    logits = logs([0.4, 0.3, 0.1, 0.2])

    unseen = torch.tensor([1, 2])

    assert_close(
        unseen_log_scores(logits, unseen).exp(), torch.tensor([[0.75, 0.25]])
    )


def test_confident_is_below_a_share_of_the_even_entropy():
    # of two classes 0.9 : 0.1 has 46.9 % of the entropy of 0.5 : 0.5
    scores = logs([0.9, 0.1], [0.5, 0.5])

    assert is_confident(scores, 0.46).tolist() == [False, False]
    assert is_confident(scores, 0.48).tolist() == [True, False]
    assert is_confident(scores, 1.0).tolist() == [True, False]


def test_one_unseen_class_cannot_be_sharper():
    assert not is_confident(torch.zeros(5, 1), 1.0).any()


def test_loss_is_the_mean_entropy_of_the_chosen():
    scores = logs([0.5, 0.5], [0.25, 0.75])

    found = entropy_loss(scores)

    second = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert found.item() == pytest.approx((LN2 + second) / 4)


def test_step_by_hand():
    """SGD on the logit a of softmax(a, 0), at odds of 3 to 1.

    The loss is H(p) / 2; dH/da = -a p (1 - p), here -ln 3 * 3 / 16.
    """
    logit = torch.nn.Parameter(torch.tensor(math.log(3.0)))
    other = torch.nn.Parameter(torch.tensor(0.0))

    def scores():
        return torch.stack([logit, other])[None].log_softmax(-1)

    loss = entropy_step(scores(), torch.optim.SGD([logit], lr=0.5))

    entropy = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert loss.item() == pytest.approx(entropy / 2)
    expected = math.log(3) + 0.5 * math.log(3) * 3 / 16 / 2
    assert logit.item() == pytest.approx(expected)
    assert other.grad is None
    assert entropy_loss(scores()).item() < loss.item()
