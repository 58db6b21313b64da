"""Random numbers of a resumed run are those of one that went through."""

import random
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from freeseg_mm.engine import ExactResumeHook
from freeseg_mm.engine.exact_resume_hook import (
    KEY,
    random_states,
    restore_random_states,
)

HALF, WHOLE = 2, 4


def draws():
    return random.random(), np.random.random(), torch.rand(1).item()


def test_states_come_back_from_a_file(tmp_path):
    np.random.normal()  # leaves a second number for the next call
    torch.save(random_states(), tmp_path / 'states.pth')
    expected = [*draws(), np.random.normal()]
    restore_random_states(
        torch.load(tmp_path / 'states.pth', weights_only=True)
    )
    assert [*draws(), np.random.normal()] == expected


class Draws(Hook):
    """Draws in every iteration, as a loss does; validation draws too."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.seen = {}

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.seen[batch_idx] = draws()

    def before_val_iter(self, runner, batch_idx, data_batch):
        draws()


def train(config):
    runner = Runner.from_cfg(config)
    recorder = Draws()
    runner.register_hook(recorder)
    runner.train()
    return recorder.seen, runner.model.state_dict()


@pytest.mark.parametrize('num_workers', [0, 1])
def test_resumed_run_equals_uninterrupted_one(
    tiny_run_config, tmp_path, num_workers
):
    config = tiny_run_config
    config.custom_hooks = [{'type': 'freeseg_mm.ExactResumeHook'}]
    config.train_dataloader.num_workers = num_workers
    # validation right after the checkpoint that is resumed from
    config.train_cfg.update(max_iters=WHOLE, val_interval=HALF)
    config.val_evaluator = [config.val_evaluator[0]]
    config.default_hooks.checkpoint.interval = HALF
    resumed = deepcopy(config)
    seen, weights = train(config)
    resumed.work_dir = str(tmp_path / 'resumed')
    resumed.resume = True
    resumed.load_from = f'{config.work_dir}/iter_{HALF}.pth'
    seen_later, later = train(resumed)
    assert seen_later == {i: seen[i] for i in range(HALF, WHOLE)}
    assert weights.keys() == later.keys()
    for name, value in weights.items():
        assert torch.equal(later[name], value), name


class FakeRunner:
    """As much of a runner as the hook looks at."""

    class train_loop:
        dataloader_iterator = iter(range(9))
        iter = 2

    def __init__(self, resume):
        self._resume = resume


def test_states_return_before_the_first_batch_that_is_new():
    hook, runner = ExactResumeHook(), FakeRunner(resume=True)
    states = random_states()
    expected = draws()
    hook.after_load_checkpoint(runner, {KEY: states})
    hook.before_train(runner)
    batches = runner.train_loop.dataloader_iterator
    assert [next(batches), next(batches)] == [0, 1]
    assert draws() != expected  # skipped batches may draw
    assert next(batches) == 2
    assert draws() == expected
    assert next(batches) == 3
    assert draws() != expected


def test_loading_without_resuming_changes_nothing():
    hook, runner = ExactResumeHook(), FakeRunner(resume=False)
    before = runner.train_loop.dataloader_iterator
    hook.after_load_checkpoint(runner, {KEY: random_states()})
    hook.before_train(runner)
    assert runner.train_loop.dataloader_iterator is before


def test_several_processes_keep_nothing(monkeypatch):
    monkeypatch.setattr(
        'freeseg_mm.engine.exact_resume_hook.get_world_size', lambda: 2
    )
    checkpoint = {}
    ExactResumeHook().before_save_checkpoint(FakeRunner(False), checkpoint)
    assert checkpoint == {}


@pytest.mark.parametrize('fast_forward', [False, True])
def test_loop_of_a_newer_mmengine_skips_by_itself_or_not_at_all(fast_forward):
    hook = ExactResumeHook()
    loop = SimpleNamespace(
        dataloader_iterator=(draws() for _ in range(9)),
        iter=3,
        fast_forward_on_resume=fast_forward,
    )
    runner = SimpleNamespace(_resume=True, train_loop=loop)
    states = random_states()
    expected = draws()
    hook.after_load_checkpoint(runner, {KEY: states})
    hook.before_train(runner)
    if not fast_forward:
        loop.dataloader_iterator.skip_iter(3)
    assert next(loop.dataloader_iterator) == expected
