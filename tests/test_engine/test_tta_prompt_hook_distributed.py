"""Where several processes test, each tunes on its own batches."""

import datetime
import logging
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from warm_processes import run_ranks

from freeseg_mm.engine import TTAPromptHook
from freeseg_mm.registry import MODELS

EASY = {'learning_rate': 0.01, 'threshold': 1.0, 'unseen_first': False}


def build(config, folder):
    init_default_scope('mmdet')
    model = MODELS.build(ConfigDict(config))
    model.load_state_dict(torch.load(f'{folder}/start.pth', weights_only=True))
    return model.eval()


def make_data(rank, sample):
    image = torch.randint(
        0,
        256,
        (3, 64, 64),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(rank),
    )
    return {'inputs': [image], 'data_samples': [sample]}


@torch.no_grad()
def scores_of(stepper, data):
    """Scores of the instances of a batch of one image."""
    return stepper.test_step(data)[0].pred_instances.scores


def work(rank, folder, config, sample):
    """One of two processes: the test of one image."""
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/meeting',
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(minutes=10),
    )
    try:
        model = build(config, folder)
        said = []
        logger = logging.Logger('test')
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logger.addHandler(handler)
        runner = SimpleNamespace(
            model=MMDistributedDataParallel(model), logger=logger
        )
        hook = TTAPromptHook(EASY)
        hook.before_test(runner)
        data = make_data(rank, sample)
        hook.before_test_iter(runner, 0, data)
        scores = scores_of(runner.model, data)
        tuner = data['data_samples'][0].predict_options.tuner
        queries = tuner.counts.queries
        hook.after_test(runner)
        torch.save(
            {
                'scores': scores,
                'queries': queries,
                'said': said,
                'off': model.predict_options.tuner is None,
                'state': model.state_dict(),
            },
            f'{folder}/rank{rank}.pth',
        )
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason='this PyTorch has no gloo',
)
def test_two_processes_tune_as_one_does_for_each_image(
    build_tiny_model, tiny_model_config, make_sample, tmp_path
):
    tiny_model_config.test_cfg.min_object_prob = 0.0
    start = build_tiny_model().state_dict()
    torch.save(start, tmp_path / 'start.pth')
    config = tiny_model_config.to_dict()
    sample = make_sample()

    run_ranks(work, str(tmp_path), config, sample)

    found = [
        torch.load(tmp_path / f'rank{rank}.pth', weights_only=True)
        for rank in (0, 1)
    ]
    model = build(config, tmp_path)
    for rank, result in enumerate(found):
        data = make_data(rank, sample)
        untuned = scores_of(model, data)
        model.set_defaults(prompt_tuning=EASY)
        torch.testing.assert_close(result['scores'], scores_of(model, data))
        assert not torch.equal(result['scores'], untuned)
        counts = model.predict_options.tuner.counts
        assert result['queries'] == counts.queries > 0
        model.set_defaults(prompt_tuning=False)
        assert result['off']
        for name, value in result['state'].items():
            assert torch.equal(value, start[name])
    total = found[0]['queries'] + found[1]['queries']
    for result in found:
        assert result['said'] == [
            'prompt tuning: 2 of 2 batches had confident queries of unseen '
            f'classes, {total} in all'
        ]
