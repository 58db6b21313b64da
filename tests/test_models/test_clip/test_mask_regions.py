import torch
from torch.nn.functional import adaptive_avg_pool2d
from torch.testing import assert_close

from freeseg_mm.models.clip import PADDING_LOGIT
from freeseg_mm.models.clip.one_pass_classifier import Regions, cell_means


def test_cell_means_by_hand():
    # three pixels on two cells: the middle one lies half in each
    plane = torch.tensor([[1, 1, 0], [0, 0, 1]], dtype=torch.bool)

    means = cell_means(plane, (2, 2))

    assert_close(means, torch.tensor([[1, 1 / 3], [0, 2 / 3]]))


def test_pixels_larger_than_cells_are_repeated():
    plane = torch.tensor([[0.25, 1.0]])

    means = cell_means(plane, (2, 4))

    assert_close(means, torch.tensor([[0.25, 0.25, 1, 1]]).expand(2, 4))


def test_equals_pooling_where_pixels_fill_cells():
    planes = torch.rand(2, 3, 12, 20)

    assert_close(
        cell_means(planes, (4, 5)), adaptive_avg_pool2d(planes, (4, 5))
    )


def test_keeps_the_mean_and_exactly_what_is_full_or_empty():
    planes = torch.rand(2, 3, 37, 53)

    means = cell_means(planes, (14, 21))
    full = cell_means(torch.ones(1, 53, 37), (21, 14))
    half = cell_means(torch.arange(60)[None] < 30, (1, 4))

    assert_close(means.mean((-1, -2)), planes.mean((-1, -2)))
    assert_close(full, torch.ones(1, 21, 14), rtol=0, atol=1e-6)
    assert half.tolist() == [[1, 1, 0, 0]]


def test_neighbours_get_no_sliver_of_a_mask():
    for length in range(2, 80):
        plane = torch.zeros(1, length, dtype=torch.bool)
        plane[0, : length // 2] = True  # up to pixel length // 2
        covered = cell_means(plane, (1, 7))[0] > 0
        last = -(-7 * (length // 2) // length)  # cells touched, rounded up
        assert covered.tolist() == [cell < last for cell in range(7)]


def test_regions_by_hand():
    logits = torch.full((1, 3, 2, 4), -9.0)
    logits[0, 0, 0, :3] = 9.0
    logits[0, 1, 1, 1] = 9.0
    logits[..., 3] = PADDING_LOGIT  # the last column; mask 2 is empty

    regions = Regions.from_logits(logits, (2, 2), 0.0)

    assert regions.valid.tolist() == [[True, True, False]]
    assert_close(
        regions.coverage[0],
        torch.tensor([[[1, 0.5], [0, 0]], [[0, 0], [0.5, 0]], [[0.0, 0]] * 2]),
    )
    assert_close(regions.content, torch.tensor([[[1, 0.5], [1, 0.5]]]))


def test_bias_weighs_pixels_not_cells():
    # softmax over pixels, equal in their cell, is softmax over cells with
    # the bias; cell 0 holds 4 pixels of the mask, cell 1 one of 4
    logits = torch.tensor([[[[9.0, 9, 9, -9], [9, 9, -9, -9]]]])
    scores = torch.tensor([0.3, 0.9, -0.2])  # of two cells, and its own

    bias = Regions.from_logits(logits, (1, 2), 0.0).attention_bias()

    weights = (scores + bias[0, 0, 0]).softmax(-1)
    expected = torch.tensor([4, 1, 4]) / 4 * scores.exp()
    assert_close(weights, expected / expected.sum())


def test_bias_shows_each_mask_its_own_key_only():
    logits = torch.full((2, 3, 4, 4), 9.0)

    bias = Regions.from_logits(logits, (2, 2), 0.0).attention_bias()

    assert bias.shape == (2, 1, 3, 4 + 3)
    assert_close(bias[..., :4], torch.zeros(2, 1, 3, 4))
    own = torch.where(torch.eye(3) > 0, 0.0, -torch.inf)
    assert torch.equal(bias[..., 4:], own.expand(2, 1, 3, 3))


def test_bias_of_a_mask_smaller_than_a_cell_weighs_one_cell():
    # 2 of 16 pixels of cell 0 and 1 of cell 1: weights 2/3 and 1/3
    logits = torch.full((1, 2, 4, 8), -9.0)
    logits[0, 0, 1, 2:5] = 9.0  # mask 1 is empty

    bias = Regions.from_logits(logits, (1, 2), 0.0).attention_bias()

    expected = torch.tensor([[2 / 3, 1 / 3, 1, 0], [0, 0, 0, 1]])
    assert_close(bias[0, 0].exp(), expected)
