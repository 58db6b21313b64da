import random

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger, print_log

from freeseg_mm.utils.scopes import quiet_logger, seeded


def test_only_what_is_grave_is_logged_meanwhile(logged):
    with quiet_logger('WARNING'):
        print_log('small talk', logger='current')
        print_log('fire', logger='current', level=30)
    print_log('small talk again', logger='current')

    assert [text for _, text in logged] == ['fire', 'small talk again']


def test_level_is_back_after_an_error(logged):
    before = MMLogger.get_current_instance().level
    with pytest.raises(KeyError), quiet_logger():
        raise KeyError
    assert MMLogger.get_current_instance().level == before


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
