"""A run that was interrupted ends where it would have ended."""

import hashlib
from copy import deepcopy

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

HALF, WHOLE = 3, 6


class Recorder(Hook):
    """Notes what each iteration trains on, and seeds torch for it.

    Points of the losses and dropout come from torch's generator, whose
    state mmengine does not keep; with it out of the way, all else that a
    resumed run brings back is what decides the weights.
    """

    def __init__(self):
        self.batches = {}

    def before_train_iter(self, runner, batch_idx, data_batch):
        torch.manual_seed(batch_idx)
        samples = data_batch['data_samples']
        pixels = hashlib.sha256()
        for image in data_batch['inputs']:
            pixels.update(image.numpy().tobytes())
        self.batches[batch_idx] = (
            [sample.img_id for sample in samples],
            [sample.task for sample in samples],
            [sample.flip for sample in samples],
            pixels.hexdigest(),
        )


def train(config):
    """Run it; give what it trained on and the weights it ends with."""
    runner = Runner.from_cfg(config)
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    return recorder.batches, runner


@pytest.mark.parametrize('num_workers', [0, 1])
def test_resumed_run_equals_uninterrupted_one(
    tiny_run_config, tmp_path, num_workers
):
    config = tiny_run_config
    config.train_dataloader.num_workers = num_workers
    config.train_cfg.max_iters = WHOLE
    config.default_hooks.checkpoint.interval = HALF
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    # rates that change in both halves, and weights that change visibly
    config.param_scheduler[0].end = HALF + 1
    config.param_scheduler[1].update(begin=HALF + 1, end=WHOLE + 2)

    resumed = deepcopy(config)
    batches, runner = train(config)
    resumed.work_dir = str(tmp_path / 'resumed')
    resumed.resume = True
    resumed.load_from = f'{config.work_dir}/iter_{HALF}.pth'
    later_batches, resumed_runner = train(resumed)

    assert sorted(batches) == list(range(WHOLE))
    assert later_batches == {
        index: batches[index] for index in range(HALF, WHOLE)
    }
    assert len({batch[1][0] for batch in batches.values()}) > 1
    weights = runner.model.state_dict()
    start = torch.load(resumed.load_from, weights_only=True)['state_dict']
    assert any(not torch.equal(weights[key], start[key]) for key in weights)
    for key, value in resumed_runner.model.state_dict().items():
        assert torch.equal(value, weights[key]), key
    assert (
        resumed_runner.optim_wrapper.get_lr() == runner.optim_wrapper.get_lr()
    )
