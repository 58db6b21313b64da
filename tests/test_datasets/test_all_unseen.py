"""Testing on another dataset: all its classes are unseen."""

import math

import pytest
from mmengine.runner import Runner


@pytest.mark.slow
def test_ensemble_and_metrics_know_one_set(tiny_run_config, logged):
    config = tiny_run_config
    config.test_dataloader.dataset.seen = 'none'
    config.test_evaluator = config.test_evaluator[::2]
    runner = Runner.from_cfg(config)
    given = []
    predict = runner.model.predict

    def watch(inputs, data_samples, **options):
        given.extend(sample.vocabulary for sample in data_samples)
        return predict(inputs, data_samples, **options)

    runner.model.predict = watch
    scores = runner.test()
    assert given
    assert not any(flag for words in given for flag in words.is_seen)
    assert scores['semantic/mIoU_unseen'] == scores['semantic/mIoU']
    for name in ('PQ', 'SQ', 'RQ'):
        assert math.isnan(scores[f'panoptic/{name}_seen'])
        assert scores[f'panoptic/{name}_unseen'] == (
            scores[f'panoptic/{name}']
        ) or math.isnan(scores[f'panoptic/{name}'])
    assert math.isnan(scores['semantic/mIoU_seen'])
    assert math.isnan(scores['semantic/hIoU'])
    assert not [
        text for level, text in logged if level == 'WARNING' and 'seen' in text
    ]
