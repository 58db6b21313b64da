"""What a training at size takes from its fragment changes what is built."""

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.registry import STRATEGIES
from mmengine.runner import Runner
from torch.testing import assert_close

from freeseg_mm.registry import MODELS


@pytest.fixture
def large(load_run):
    return load_run('freeseg/coco_large.py')


def test_updates_and_images_of_an_update_are_those_of_the_paper(
    large, load_run
):
    paper = load_run('freeseg/coco.py')
    counts = large.optim_wrapper.accumulative_counts
    assert counts == 2
    assert large.train_cfg.max_iters == 60000 * counts
    assert large.train_dataloader == paper.train_dataloader
    assert large.optim_wrapper.optimizer == paper.optim_wrapper.optimizer


def test_runner_averages_weights_and_collects_gradients(
    large, tiny_run_config
):
    config = tiny_run_config
    config.optim_wrapper.accumulative_counts = (
        large.optim_wrapper.accumulative_counts
    )
    config.custom_hooks = large.custom_hooks
    runner = Runner.from_cfg(config)
    start = {k: v.clone() for k, v in runner.model.named_parameters()}
    runner.train()  # two iterations, which are one update
    assert runner.optim_wrapper._accumulative_counts == 2
    (hook,) = (x for x in runner.hooks if isinstance(x, EMAHook))
    steps = {
        int(state['step'])
        for state in runner.optim_wrapper.optimizer.state.values()
    }
    assert steps == {1}
    averaged = dict(hook.ema_model.module.named_parameters())
    trained = dict(runner.model.named_parameters())
    name = 'panoptic_head.query_feat.weight'
    moved = (trained[name] - start[name]).abs().max()
    assert (averaged[name] - start[name]).abs().max() < 0.01 * moved


def test_less_memory_gives_the_same_gradients_from_less_that_is_kept(
    large, small_model, run_once, tiny_vocabulary
):
    kept, losses, gradients = [], [], []
    for with_cp in (False, True):
        config = small_model(large)
        config.panoptic_head.context_interaction.dropout = 0.0
        for part in (config.backbone, config.panoptic_head):
            assert part.with_cp
            part.with_cp = with_cp
        torch.manual_seed(0)
        model = MODELS.build(config)
        model.init_weights()
        sizes = []

        def keep(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            found, _ = run_once(model, tiny_vocabulary)
        sum(found.values()).backward()
        losses.append(found)
        gradients.append(
            {k: p.grad for k, p in model.named_parameters() if p.requires_grad}
        )
        kept.append(sum(sizes))
    assert losses[0] == losses[1]
    for name, gradient in gradients[0].items():
        assert_close(gradients[1][name], gradient)
    # mmengine's activation_checkpointing loses them: inputs are lists
    decoder = 'panoptic_head.pixel_decoder.mask_feature.weight'
    assert gradients[1][decoder].any()
    assert kept[1] < 0.7 * kept[0]


def test_shards_are_a_strategy_of_mmengine(large):
    settings = {**large.sharded, 'work_dir': 'nowhere'}
    strategy = STRATEGIES.get(settings.pop('type'))(**settings)
    assert type(strategy).__name__ == 'FSDPStrategy'
    assert strategy.model_wrapper.use_orig_params
