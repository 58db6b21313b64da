import random

import numpy as np
import torch

from freeseg_mm.utils.seeded import seeded


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_same_seed_gives_the_same_draws_and_leaves_no_trace():
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    undisturbed = [draw(), draw()]
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    before = draw()
    with seeded(7):
        first = draw()
    with seeded(7):
        assert draw() == first
    with seeded(8):
        assert draw() != first
    assert [before, draw()] == undisturbed
