import json

import pytest
import torch

from freeseg_mm.analysis.tuning import TuningEffect, observe_tuning
from freeseg_mm.models import FreeSeg, FreeSegFusionHead
from freeseg_mm.registry import MODELS

# untrained queries are sure of nothing
EASY = {
    'steps': 1,
    'learning_rate': 0.01,
    'threshold': 1.0,
    'unseen_first': False,
}


@pytest.fixture
def checkpoint(build_tiny_model, tmp_path):
    """Random weights in a file."""
    path = tmp_path / 'random.pth'
    torch.save({'state_dict': build_tiny_model().state_dict()}, path)
    return path


@pytest.fixture
def observe(tiny_run_config, checkpoint, tmp_path, monkeypatch):
    """Test with tuning; gives effect, the tuner's counts, predictions."""
    given, models = [], []

    def run(settings=EASY, **options):
        given.clear()
        config = tiny_run_config.copy()
        config.model.test_cfg.prompt_tuning = dict(settings)
        config.experiment_name += f'_{len(list(tmp_path.iterdir()))}'
        effect = observe_tuning(
            config,
            checkpoint,
            tmp_path / 'tested',
            **{'only_right': False, **options},
        )
        return effect, models[-1].prompt_tuner.counts, torch.cat(given)

    prediction = FreeSeg.predict

    def answering(model, *arguments, **options):
        models.append(model)
        return prediction(model, *arguments, **options)

    monkeypatch.setattr(FreeSeg, 'predict', answering)
    fuse = FreeSegFusionHead.predict

    def watched(head, class_probs, *arguments):
        given.append(class_probs)
        return fuse(head, class_probs, *arguments)

    monkeypatch.setattr(FreeSegFusionHead, 'predict', watched)
    return run


def test_counts_all_confident_queries(observe):
    effect, counts, _ = observe()
    assert effect.queries == counts.queries > 0
    assert effect.on_seen > 0
    assert effect.queries == (
        effect.right
        + effect.on_seen
        + effect.on_other_unseen
        + effect.on_nothing
    )
    assert effect.entropy_after < effect.entropy_before


def test_answers_are_those_of_the_network_itself(
    observe, tiny_run_config, checkpoint
):
    from mmengine.runner import Runner

    _, _, observed = observe()
    config = tiny_run_config.copy()
    config.model.test_cfg.prompt_tuning = EASY
    config.load_from = str(checkpoint)
    config.experiment_name += '_plain'
    runner = Runner.from_cfg(config)
    runner.load_or_resume()
    given = []
    head = runner.model.panoptic_fusion_head
    fuse = head.predict

    def watched(class_probs, *arguments):
        given.append(class_probs)
        return fuse(class_probs, *arguments)

    head.predict = watched
    runner.test()
    assert torch.equal(torch.cat(given), observed)


def test_tunes_on_right_queries_alone(observe):
    frame_stride, _, predictions = observe()
    only, counts, other_answers = observe(only_right=True)
    # all confident ones of tuned batches are looked at, whichever tune
    assert 0 < only.right == counts.queries < only.queries
    assert only.queries <= frame_stride.queries
    assert not torch.equal(predictions, other_answers)


def test_without_steps_one_is_taken(observe):
    one, _, predictions = observe()
    effect, _, same = observe({**EASY, 'steps': 0})
    assert effect == one
    assert torch.equal(same, predictions)


def test_refuses_scores_of_clip(observe):
    with pytest.raises(ValueError, match="source='query', got 'both'"):
        observe({**EASY, 'source': 'both'})


def test_a_network_that_does_not_tune_has_no_effect(tiny_model_config):
    config = tiny_model_config.copy()
    config.type = 'freeseg_mm.ObservedFreeSeg'
    with pytest.raises(ValueError, match='prompt_tuning.steps=1'):
        MODELS.build(config)


def test_names_a_missing_checkpoint(tiny_run_config, tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        observe_tuning(
            tiny_run_config,
            tmp_path / 'no.pth',
            tmp_path / 'tested',
            only_right=False,
        )


def test_nothing_is_looked_at_where_all_is_seen(
    observe, tiny_run_config, shapes_world, tmp_path
):
    content = json.loads((shapes_world / 'vocabulary.json').read_text())
    path = tmp_path / 'all_seen.json'
    path.write_text(json.dumps({**content, 'unseen': []}))
    tiny_run_config.test_dataloader.dataset.vocabulary = str(path)

    effect, counts, _ = observe(only_right=True)

    assert effect == TuningEffect()
    assert counts.batches == 2
    assert counts.tuned == 0
