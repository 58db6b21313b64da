import copy

import pytest
import torch
from torch import nn

from freeseg_mm.models.clip.frozen_clip import HiddenModule


class Owner(nn.Module):
    def __init__(self):
        super().__init__()
        self.own = nn.Linear(2, 2)
        self.hidden = HiddenModule(
            nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
        )


@pytest.fixture
def owner():
    return Owner()


def test_held_module_is_no_part_of_its_owner(owner):
    assert list(owner.state_dict()) == ['own.weight', 'own.bias']
    assert len(list(owner.parameters())) == 2
    assert list(owner.buffers()) == []
    held = set(owner.hidden.module.modules())
    assert held.isdisjoint(owner.modules())


def test_held_module_follows_its_owners_moves(owner):
    owner.to(torch.float64)
    linear, norm = owner.hidden.module
    assert linear.weight.dtype == torch.float64
    assert norm.running_mean.dtype == torch.float64

    owner.half()
    assert owner.hidden.module[0].weight.dtype == torch.float16


def test_held_module_follows_to_another_device(owner):
    owner.to('meta')

    assert owner.hidden.module[0].weight.device.type == 'meta'


def test_held_module_stays_in_eval_mode(owner):
    owner.train()

    assert not owner.hidden.module.training
    assert not owner.hidden.module[1].training


def test_loading_a_state_dict_does_not_ask_for_it(owner):
    missing, unexpected = owner.load_state_dict(owner.state_dict())

    assert (missing, unexpected) == ([], [])


def test_a_copy_holds_its_own_module(owner):
    twin = copy.deepcopy(owner)
    twin.double()

    assert owner.hidden.module[0].weight.dtype == torch.float32
    assert twin.hidden.module[0].weight.dtype == torch.float64
