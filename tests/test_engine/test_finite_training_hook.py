"""A training that diverges ends, and leaves what was good."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from freeseg_mm.utils.errors import DivergedError


def without_validation(config):
    config.val_cfg = config.val_dataloader = config.val_evaluator = None


class Absurd(Hook):
    """Learns at an absurd rate once a checkpoint is written."""

    def before_train_iter(self, runner, batch_idx, data_batch):
        if batch_idx >= 2:
            for group in runner.optim_wrapper.param_groups:
                group['lr'] = 1e18


def test_absurd_rate_ends_in_a_sentence_and_leaves_the_good_checkpoint(
    tiny_run_config, tmp_path
):
    config = tiny_run_config
    without_validation(config)
    config.train_cfg.max_iters = 20
    config.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=1)
    config.optim_wrapper.clip_grad = None
    runner = Runner.from_cfg(config)
    runner.register_hook(Absurd())

    with pytest.raises(DivergedError, match='in iteration 4, .*learning rate'):
        runner.train()

    (good,) = (tmp_path / 'work_dir').glob('*.pth')
    assert good.name == 'iter_2.pth'
    state = torch.load(good, weights_only=True)['state_dict']
    assert all(value.isfinite().all() for value in state.values())


class Spoil(Hook):
    """Makes a loss or a weight NaN after it has done its part."""

    priority = 'HIGHEST'

    def __init__(self, loss=None, weight=None):
        self.loss, self.weight = loss, weight

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        if self.loss:
            outputs[self.loss] = torch.tensor(math.nan)
        if self.weight:
            value = runner.model.get_parameter(self.weight)
            value.data[0] = math.inf


@pytest.mark.parametrize(
    ('spoilt', 'found'),
    [
        ({'loss': 'd0.loss_dice'}, 'infinite d0.loss_dice,'),
        (
            {'weight': 'panoptic_head.query_feat.weight'},
            'infinite weights panoptic_head.query_feat.weight,',
        ),
    ],
    ids=['loss', 'weight'],
)
def test_nothing_is_saved_with_a_number_that_is_none(
    tiny_run_config, tmp_path, spoilt, found
):
    without_validation(tiny_run_config)
    runner = Runner.from_cfg(tiny_run_config)
    runner.register_hook(Spoil(**spoilt))

    with pytest.raises(DivergedError, match='in iteration 1,') as caught:
        runner.train()

    assert found in str(caught.value)
    assert not list((tmp_path / 'work_dir').glob('*.pth'))
