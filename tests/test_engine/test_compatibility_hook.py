"""Runs that would give unsound results do not start."""

import json
from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from freeseg_mm.engine import CompatibilityHook
from freeseg_mm.structures import Vocabulary

KEY = 'freeseg_mm'


@pytest.fixture
def make_runner(tiny_run_config, tmp_path):
    """Build a runner of the tiny run, with entries of its config changed."""

    number = count()

    def make(**changes):
        tiny_run_config.merge_from_dict(changes)
        # a logger of its own, also within one second
        tiny_run_config.experiment_name = f'{tmp_path.name}_{next(number)}'
        return Runner.from_cfg(tiny_run_config)

    return make


@pytest.fixture(scope='module')
def made():
    return {}


@pytest.fixture
def checkpoint(make_runner, made, tmp_path_factory):
    """Path of a checkpoint of the tiny run, untrained; made once."""
    if not made:
        folder = tmp_path_factory.mktemp('checkpoint')
        runner = make_runner(work_dir=str(folder))
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(
            runner.param_schedulers
        )
        runner.save_checkpoint(str(folder), 'iter_0.pth', by_epoch=False)
        made['path'] = str(folder / 'iter_0.pth')
    return made['path']


@pytest.fixture
def write_vocabulary(shapes_world, tmp_path):
    """Write the world's vocabulary, changed, to another file."""

    def write(**changes):
        content = json.loads((shapes_world / 'vocabulary.json').read_text())
        for key, words in changes.items():
            content[key] += words
        path = tmp_path / 'other.json'
        path.write_text(json.dumps({**content, 'name': 'other'}))
        return str(path)

    return write


def refuse_to_compute(runner):
    """Fail if the model is asked to do anything."""

    def compute(*args, **kwargs):
        pytest.fail('the run has started')

    for step in ('train_step', 'val_step', 'test_step'):
        setattr(runner.model, step, compute)


def log_of(runner):
    return ''.join(
        path.read_text() for path in Path(runner.log_dir).rglob('*.log')
    )


def test_every_config_has_the_hook(make_runner):
    hooks = [type(hook) for hook in make_runner().hooks]
    assert hooks.count(CompatibilityHook) == 1


def test_checkpoint_names_clip_and_vocabulary(
    checkpoint, tiny_run_config, shapes_world, build_tiny_model
):
    vocabulary = Vocabulary.load(shapes_world / 'vocabulary.json')
    clip = build_tiny_model(tiny_run_config.model).clip
    stored = torch.load(checkpoint, weights_only=True)
    assert stored[KEY] == {
        'clip': clip.fingerprint,
        'clip_model': 'tiny_clip',
        'vocabulary': vocabulary.content_hash,
        'vocabulary_name': 'shapes',
    }
    assert (
        Vocabulary.from_dict(stored['meta']['dataset_meta']['vocabulary'])
        == vocabulary
    )
    # CLIP itself is in no checkpoint
    assert not [key for key in stored['state_dict'] if key.startswith('clip.')]


@pytest.mark.parametrize('action', ['test', 'train'])
def test_another_clip_is_refused(make_runner, checkpoint, action):
    stored = torch.load(checkpoint, weights_only=True)[KEY]['clip']
    runner = make_runner(
        load_from=checkpoint, model={'clip': {'pretrained': 'random'}}
    )
    refuse_to_compute(runner)
    with pytest.raises(ValueError, match='trained with CLIP') as caught:
        getattr(runner, action)()
    message = str(caught.value)
    built = runner.model.clip.fingerprint
    assert built != stored
    assert f'tiny_clip (weights {stored}), the config builds' in message
    assert f"tiny_clip (weights {built}, from 'random')" in message
    assert 'set model.clip to the one it was trained with' in message


def test_resuming_with_another_vocabulary_is_refused(
    make_runner, checkpoint, write_vocabulary
):
    other = write_vocabulary(unseen=['snow'])
    runner = make_runner(
        load_from=checkpoint,
        resume=True,
        train_dataloader={'dataset': {'vocabulary': other}},
    )
    refuse_to_compute(runner)
    with pytest.raises(ValueError, match='cannot resume') as caught:
        runner.train()
    stored = torch.load(checkpoint, weights_only=True)[KEY]['vocabulary']
    found = Vocabulary.load(other).content_hash
    assert f"vocabulary 'shapes' ({stored})" in str(caught.value)
    assert f"this run trains on 'other' ({found})" in str(caught.value)
    assert 'use load_from to start anew' in str(caught.value)


def test_weights_may_start_a_run_on_another_vocabulary(
    make_runner, checkpoint, write_vocabulary
):
    runner = make_runner(
        load_from=checkpoint,
        train_dataloader={
            'dataset': {'vocabulary': write_vocabulary(unseen=['snow'])}
        },
    )
    runner.load_or_resume()
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_same_vocabulary_and_clip_resume(make_runner, checkpoint):
    runner = make_runner(load_from=checkpoint, resume=True)
    runner.load_or_resume()
    assert runner.iter == 1  # mmengine counts the iteration that was saved
    assert 'does not say which CLIP' not in log_of(runner)


def test_foreign_checkpoint_is_loaded_with_a_warning(
    make_runner, checkpoint, tmp_path
):
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    torch.save({'state_dict': weights}, tmp_path / 'foreign.pth')
    runner = make_runner(load_from=str(tmp_path / 'foreign.pth'))
    for parameter in runner.model.parameters():
        parameter.data.zero_()
    runner.load_or_resume()
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, weights[key]), key
    assert (
        'WARNING - the checkpoint does not say which CLIP it was trained '
        'with' in log_of(runner)
    )


@pytest.mark.parametrize(
    ('action', 'loader'),
    [
        ('train', 'train_dataloader'),
        ('train', 'val_dataloader'),
        ('test', 'test_dataloader'),
        ('val', 'val_dataloader'),
    ],
)
def test_name_too_long_for_clip_fails_before_any_iteration(
    make_runner, write_vocabulary, action, loader
):
    long_name = ' '.join(['word'] * 60)
    other = write_vocabulary(classes=[long_name])
    runner = make_runner(**{loader: {'dataset': {'vocabulary': other}}})
    refuse_to_compute(runner)
    with pytest.raises(ValueError, match='CLIP reads 77') as caught:
        getattr(runner, action)()
    assert long_name in str(caught.value)
    assert "vocabulary 'other'" in str(caught.value)


def test_training_needs_no_validation(make_runner):
    runner = make_runner(val_dataloader=None, val_cfg=None, val_evaluator=None)
    runner.train()
    assert runner.iter == 2


def resumed(make_runner, path, **changes):
    """Resume as far as a run does before its first iteration."""
    runner = make_runner(load_from=str(path), resume=True, **changes)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers
    )
    runner.load_or_resume()
    return runner


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (
            {
                'param_scheduler': [
                    {'type': 'PolyLR', 'end': 900, 'by_epoch': False}
                ]
            },
            'the checkpoint has 2 schedules, the config 1',
        ),
        (
            {'param_scheduler.1.end': 900},
            r'param_scheduler\[1\] has end 900 in the config and 1500 in the',
        ),
        (
            {'optim_wrapper.optimizer.weight_decay': 0.5},
            'group 0, has weight_decay 0.5 in the config and 0.0001 in',
        ),
        ({'optim_wrapper.optimizer.lr': 0.5}, 'in the checkpoint, which a'),
    ],
)
def test_what_a_resume_would_bring_back_is_refused(
    make_runner, checkpoint, changes, words
):
    with pytest.raises(ValueError, match=words) as caught:
        resumed(make_runner, checkpoint, **changes)
    assert 'use load_from to start anew' in str(caught.value)


def test_equal_settings_resume(make_runner, checkpoint):
    assert resumed(make_runner, checkpoint).iter == 1


@pytest.mark.parametrize('lost', ['meta', 'message_hub'])
def test_weights_alone_are_not_resumed(
    make_runner, checkpoint, tmp_path, lost
):
    content = torch.load(checkpoint, weights_only=True)
    del content[lost]
    torch.save(content, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='no state of a training'):
        resumed(make_runner, tmp_path / 'weights.pth')


def test_code_of_old_versions_is_not_run(make_runner, checkpoint, tmp_path):
    marker = tmp_path / 'marker'
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['config'] = f'open({str(marker)!r}, "w")'
    torch.save(content, tmp_path / 'old.pth')
    with pytest.raises(ValueError, match="holds 'config', which is code"):
        resumed(make_runner, tmp_path / 'old.pth')
    assert not marker.exists()


def test_a_schedule_that_ended_with_0_is_not_gone_on_with(
    make_runner, checkpoint, tmp_path
):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['iter'] = 1500
    for group in content['optimizer']['param_groups']:
        group['lr'] = 0.0
    torch.save(content, tmp_path / 'ended.pth')
    runner = resumed(
        make_runner, tmp_path / 'ended.pth', **{'train_cfg.max_iters': 1900}
    )
    refuse_to_compute(runner)
    with pytest.raises(ValueError, match='ended at iteration 1500 with a'):
        runner.call_hook('before_train')
