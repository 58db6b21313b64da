"""A model that tunes its prompt on what it is asked about."""

from copy import deepcopy

import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.prompts import AdaptivePromptLearner
from freeseg_mm.structures import Vocabulary

# With random weights all queries are confident.
EASY = {
    'steps': 1,
    'learning_rate': 0.01,
    'threshold': 1.0,
    'unseen_first': False,
}
FIXED = {'_delete_': True, 'type': 'freeseg_mm.FixedPrompt'}


@pytest.fixture
def model_config(tiny_model_config):
    """The tiny model with milder scores, so that results are not empty."""
    config = tiny_model_config
    config.panoptic_head.classifier.temperature = 5.0
    config.test_cfg.update(
        object_score_thr=0.1, overlap_thr=0.1, min_object_prob=0.0
    )
    return config


@pytest.fixture
def model(build_tiny_model, model_config):
    return build_tiny_model(model_config).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64)


@pytest.fixture
def samples(make_sample):
    return [make_sample(img_id=1), make_sample(img_id=2)]


@pytest.fixture
def prediction(model, images, samples, monkeypatch):
    """Predict; class probabilities, masks and the scores of instances."""
    given = []
    fuse = model.panoptic_fusion_head.predict

    def watched(class_probs, mask_logits, *arguments):
        given[:] = [class_probs, mask_logits]
        return fuse(class_probs, mask_logits, *arguments)

    monkeypatch.setattr(model.panoptic_fusion_head, 'predict', watched)

    def run():
        results = model.predict(images, deepcopy(samples))
        return [*given, *(sample.pred_instances.scores for sample in results)]

    return run


def same(one, other):
    return all(map(torch.equal, one, other))


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def assert_untouched(model, before):
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.grad is None for p in model.parameters())


def test_tuning_changes_results_and_no_weight(model, prediction):
    before, untuned = weights(model), prediction()

    model.set_defaults(prompt_tuning=EASY)
    tuned = prediction()

    assert not torch.equal(tuned[0], untuned[0])
    assert same(tuned, prediction())  # each batch begins anew
    assert_untouched(model, before)
    model.set_defaults(prompt_tuning=False)
    assert same(untuned, prediction())


def test_switch_of_the_config(build_tiny_model, model_config, model):
    assert model.predict_options.tuner is None  # the base config's 0 steps
    model_config.test_cfg.prompt_tuning.steps = 2
    tuner = build_tiny_model(model_config).predict_options.tuner
    assert tuner.settings.steps == 2
    model_config.test_cfg.prompt_tuning = None
    assert build_tiny_model(model_config).predict_options.tuner is None


@pytest.mark.parametrize('source', ['query', 'clip', 'both'])
def test_prompts_stay_when_the_batch_raises(
    model, prediction, monkeypatch, source
):
    before, untuned = weights(model), prediction()
    model.set_defaults(prompt_tuning={**EASY, 'source': source})
    tuned = prediction()
    assert not same(untuned, tuned)

    def fail(*arguments):
        raise RuntimeError('out of memory')

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, 'step', fail)
        with pytest.raises(RuntimeError, match='out of memory'):
            prediction()
    with monkeypatch.context() as patch:
        patch.setattr(model, '_clip_logits', fail)
        with pytest.raises(RuntimeError, match='out of memory'):
            prediction()

    assert_untouched(model, before)
    assert same(tuned, prediction())
    model.set_defaults(prompt_tuning=False)
    assert same(untuned, prediction())


def test_only_scores_change(model, prediction):
    untuned = prediction()
    model.set_defaults(prompt_tuning=EASY)
    tuned = prediction()

    assert torch.equal(tuned[1], untuned[1])
    assert not torch.equal(tuned[0], untuned[0])


def test_scoring_again_by_hand(model, images, samples, monkeypatch):
    """One unseen column moves with its text, the others stay."""
    zebra = 1
    seen = []
    classifier = model.panoptic_head.cls_embed
    hook = classifier.register_forward_hook(
        lambda module, inputs, logits: seen.append((inputs[0], logits))
    )
    model.set_defaults(prompt_tuning=EASY)
    other = torch.nn.functional.normalize(torch.randn(16), dim=0)

    def tune(scored, learner, tower, text, *_):
        text = text.clone()
        text[:, zebra] = other
        return text

    monkeypatch.setattr(model.predict_options.tuner, 'tune', tune)
    model.predict(images, samples)
    hook.remove()

    (query_feats, before), (_, after) = seen
    stay = [0, 2, 3, 4]
    assert_close(after[..., stay], before[..., stay])
    embeds = classifier.embed(query_feats)
    assert_close(after[..., zebra], 5.0 * embeds @ other)


@pytest.mark.parametrize('source', ['query', 'clip', 'both'])
def test_nothing_confident_changes_nothing(model, prediction, source):
    untuned = prediction()
    model.set_defaults(
        prompt_tuning={**EASY, 'threshold': 1e-9, 'source': source}
    )

    assert same(untuned, prediction())
    counts = model.predict_options.tuner.counts
    assert (counts.batches, counts.tuned, counts.queries) == (1, 0, 0)


def test_without_unseen_classes_nothing_changes(model, prediction, samples):
    words = Vocabulary.from_names(['cat', 'grass', 'sky'], unseen=[])
    for sample in samples:
        sample.set_metainfo({'vocabulary': words})
    untuned = prediction()
    model.set_defaults(prompt_tuning=EASY)

    assert same(untuned, prediction())


def test_only_unseen_names_are_read_again(model, prediction, monkeypatch):
    prediction()  # all names are in the cache now
    read = []
    encode = AdaptivePromptLearner.encode_task

    def watched(self, tower, prompts, task):
        read.append(prompts)
        return encode(self, tower, prompts, task)

    monkeypatch.setattr(AdaptivePromptLearner, 'encode_task', watched)
    model.set_defaults(prompt_tuning=EASY)
    prediction()

    # three tasks, with gradient for the step and without after it
    assert read == [('zebra', 'sky')] * 6


def test_nothing_tuned_is_kept_in_caches(
    build_tiny_model, model_config, images, samples, tmp_path
):
    model_config.text_cache_dir = str(tmp_path / 'text')
    model = build_tiny_model(model_config).eval()
    model.predict(images, deepcopy(samples))
    files = sorted(tmp_path.rglob('*'))
    entries = len(model._text_cache._entries)

    model.set_defaults(prompt_tuning={**EASY, 'online': True})
    for _ in range(2):
        model.predict(images, deepcopy(samples))

    assert sorted(tmp_path.rglob('*')) == files
    assert len(model._text_cache._entries) == entries


OPTIONS = {
    'more steps': {'steps': 3},
    'smaller steps': {'learning_rate': 1e-3},
    'fewer queries': {'threshold': 0.995},
    'unseen first': {'unseen_first': True},
    'of CLIP': {'source': 'clip'},
    'of both': {'source': 'both'},
}


@pytest.mark.parametrize('name', OPTIONS)
def test_every_option_has_an_effect(model, prediction, name):
    model.set_defaults(prompt_tuning=EASY)
    usual = prediction()
    model.set_defaults(prompt_tuning={**EASY, **OPTIONS[name]})

    assert not torch.equal(usual[0], prediction()[0])
    assert model.predict_options.tuner.counts.tuned == 1


def test_online_tuning_goes_on_until_a_mode_is_set(model, prediction):
    model.set_defaults(prompt_tuning={**EASY, 'online': True})
    first, second = prediction(), prediction()
    model.eval()  # as every test loop does at its start

    assert not same(first, second)
    assert same(first, prediction())


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_half_precision_tunes_too(
    build_tiny_model, model_config, images, samples, precision
):
    model_config.acceleration.precision = precision
    model_config.test_cfg.prompt_tuning.update(EASY)
    model = build_tiny_model(model_config).eval()
    before = weights(model)
    with (
        torch.inference_mode(),
        torch.autocast('cpu', torch.bfloat16),
    ):
        results = model.predict(images, samples)

    assert model.predict_options.tuner.counts.tuned == 1
    assert torch.isfinite(results[0].pred_instances.scores).all()
    assert_untouched(model, before)


def test_clip_reads_the_tuned_prompt_if_it_has_none_of_its_own(
    build_tiny_model, model_config, images, samples, monkeypatch
):
    model_config.clip_prompt = None
    model_config.test_cfg.prompt_tuning.update(EASY)
    model = build_tiny_model(model_config).eval()
    texts = []
    compare = model._clip_logits

    def watched(embeds, text, words):
        texts.append(text)
        return compare(embeds, text, words)

    monkeypatch.setattr(model, '_clip_logits', watched)
    model.predict(images, samples)

    trained = model._text(
        model.prompt_learner,
        samples[0].vocabulary,
        model.predict_options,
    )
    (found,) = texts
    assert torch.equal(found[:, [0, 2, 3]], trained[:, [0, 2, 3]])
    assert not torch.equal(found, trained)


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (
            {'prompt_learner': FIXED},
            TypeError,
            'needs a learned class prompt, and FixedPrompt has none',
        ),
        (
            {'prompt_learner.num_class_tokens': 0},
            TypeError,
            'and AdaptivePromptLearner has none',
        ),
        (
            {
                'mask_classifier': None,
                'test_cfg.ensemble.mode': 'query',
                'test_cfg.prompt_tuning.source': 'clip',
            },
            ValueError,
            "source='clip' needs a mask_classifier",
        ),
    ],
)
def test_refuses_to_build(
    build_tiny_model, model_config, change, error, message
):
    from mmengine.config import Config

    config = Config({'model': model_config})
    config.merge_from_dict(
        {f'model.{key}': value for key, value in change.items()}
    )
    build_tiny_model(config.model)  # without tuning all is well
    config.model.test_cfg.prompt_tuning.steps = 1
    with pytest.raises(error, match=message):
        build_tiny_model(config.model)


def test_unknown_settings_are_refused(model):
    with pytest.raises(
        TypeError,
        match=r"prompt_tuning has unknown keys \['lr'\]; known are "
        r"\['steps', 'learning_rate'",
    ):
        model.set_defaults(prompt_tuning={'lr': 1e-3})
