"""Prompts are tuned in a run's test, and only there."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner

from freeseg_mm.engine import TTAPromptHook

EASY = {
    'learning_rate': 0.01,
    'threshold': 1.0,
    'unseen_first': False,
}


@pytest.fixture
def make_runner(tiny_run_config, tmp_path):
    """Build a runner of the tiny run with hooks added to its own."""
    counter = []

    def make(*hooks, **changes):
        counter.append(1)
        config = tiny_run_config.copy()
        # untrained queries are sure of nothing
        config.model.test_cfg.min_object_prob = 0.0
        config.merge_from_dict(changes)
        config.custom_hooks = [*config.custom_hooks, *hooks]
        config.experiment_name = f'{tmp_path.name}_{len(counter)}'
        torch.manual_seed(0)
        return Runner.from_cfg(config)

    return make


def hook(settings=EASY):
    return {'type': 'freeseg_mm.TTAPromptHook', 'settings': settings}


def probs_of(model, run):
    """Class probabilities of all that ``run`` predicts."""
    given = []
    fuse = model.panoptic_fusion_head.predict

    def watched(class_probs, *arguments):
        given.append(class_probs)
        return fuse(class_probs, *arguments)

    model.panoptic_fusion_head.predict = watched
    try:
        run()
    finally:
        model.panoptic_fusion_head.predict = fuse
    return torch.cat(given)


def test_tunes_in_the_test_alone(make_runner, tiny_run_config):
    # the same scenes twice
    runner = make_runner(
        hook(),
        val_dataloader=tiny_run_config.test_dataloader,
        val_evaluator=tiny_run_config.test_evaluator,
    )
    model = runner.model
    before = {k: v.clone() for k, v in model.state_dict().items()}

    tested = probs_of(model, runner.test)
    validated = probs_of(model, runner.val)

    model.set_defaults(prompt_tuning=EASY)
    tuned = probs_of(model, runner.val)
    assert torch.equal(tested, tuned)
    assert not torch.equal(tested, validated)
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    log = ''.join(p.read_text() for p in Path(runner.log_dir).rglob('*.log'))
    # four images, two a batch; the test on validation counted the same
    queries = model.predict_options.tuner.counts.queries
    assert queries > 0
    assert (
        'prompt tuning: 2 of 2 batches had confident queries of unseen '
        f'classes, {queries} in all'
    ) in log


def test_switch_of_the_model_needs_no_hook(make_runner):
    plain = make_runner(
        **{f'model.test_cfg.prompt_tuning.{k}': v for k, v in EASY.items()},
        **{'model.test_cfg.prompt_tuning.steps': 1},
    )
    tested = probs_of(plain.model, plain.test)
    hooked = make_runner(
        hook({**EASY, 'steps': 2}), **{'model.test_cfg.prompt_tuning.steps': 1}
    )
    own = hooked.model.predict_options
    other = probs_of(hooked.model, hooked.test)

    assert hooked.model.predict_options is own
    assert own.tuner.counts.batches == 0
    assert not torch.equal(tested, other)
    again = make_runner(hook())
    assert torch.equal(tested, probs_of(again.model, again.test))


def test_weights_of_a_test_that_raised_are_the_trained_ones(make_runner):
    runner = make_runner(hook())
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}

    def fail(*arguments):
        raise RuntimeError('no space left')

    runner.model.panoptic_fusion_head.predict = fail
    with pytest.raises(RuntimeError, match='no space left'):
        runner.test()

    after = runner.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_validation_after_a_test_that_raised_does_not_tune(make_runner):
    """A test that raised had no ``after_test``."""
    runner = make_runner(hook())
    model = runner.model
    own = model.predict_options
    untuned = probs_of(model, runner.val)

    def fail(*arguments):
        raise RuntimeError('no space left')

    fuse = model.panoptic_fusion_head.predict
    for _ in range(2):
        model.panoptic_fusion_head.predict = fail
        with pytest.raises(RuntimeError, match='no space left'):
            runner.test()
        model.panoptic_fusion_head.predict = fuse
        assert torch.equal(probs_of(model, runner.val), untuned)
    assert model.predict_options is own


def test_a_refused_setting_leaves_the_own_one(build_tiny_model):
    model = build_tiny_model()
    own = model.predict_options

    with pytest.raises(ValueError, match='expected at least 0'):
        TTAPromptHook({'steps': -1}).before_test(SimpleNamespace(model=model))

    assert model.predict_options is own


def test_refuses_what_cannot_be_tuned(make_runner):
    runner = make_runner(
        hook(None),
        **{
            'model.prompt_learner': {
                '_delete_': True,
                'type': 'freeseg_mm.FixedPrompt',
            }
        },
    )
    with pytest.raises(TypeError, match='FixedPrompt has none'):
        runner.test()


def test_inference_functions_of_mmdet_tune_too(tiny_run_config, tmp_path):
    import numpy as np
    from mmdet.apis import inference_detector, init_detector

    from freeseg_mm.structures import Vocabulary

    config = tiny_run_config
    config.model.test_cfg.min_object_prob = 0.0
    options = {'model.test_cfg.prompt_tuning': {'steps': 1, **EASY}}
    torch.manual_seed(0)
    model = init_detector(config, device='cpu', cfg_options=options)
    words = json.loads(
        (
            Path(config.test_dataloader.dataset.data_root) / 'vocabulary.json'
        ).read_text()
    )
    model.dataset_meta = {
        'vocabulary': Vocabulary.from_names(
            words['classes'], unseen=words['unseen']
        ).to_dict()
    }
    image = np.random.default_rng(0).integers(
        0, 256, (64, 64, 3), dtype=np.uint8
    )

    tuned = inference_detector(model, image).pred_instances.scores
    assert model.predict_options.tuner.counts.tuned == 1
    model.set_defaults(prompt_tuning=False)
    untuned = inference_detector(model, image).pred_instances.scores

    assert not torch.equal(tuned, untuned)
