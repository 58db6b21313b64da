"""The release's flow gives our results, at the release's price."""

import pytest
import torch

from freeseg_mm.analysis.cost.agreement import agreement, recorded
from freeseg_mm.analysis.cost.infer import predict_hotspots
from freeseg_mm.analysis.cost.meter import Meter
from freeseg_mm.analysis.cost.probes import HostSyncCounter, count_traffic
from freeseg_mm.analysis.cost.released import FullContextTower, ReleasedFlow
from freeseg_mm.structures import Task


@pytest.fixture
def inputs():
    return torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))


@pytest.fixture
def predictions(inputs, make_sample):
    """Predictions of one batch by a model and by its released flow."""

    def prediction(model, **sample_options):
        flow = ReleasedFlow(model)
        found = []
        for each, predict in (
            (model, model.predict),
            (flow.model, flow.predict),
        ):
            samples = [make_sample(**sample_options) for _ in range(2)]
            with recorded(each) as kept:
                kept.samples = predict(inputs, samples)
            found.append([kept])
        return found

    return prediction


def test_equals_the_models_own_results(build_tiny_model, predictions):
    model = build_tiny_model().eval()
    ours, released = predictions(model)
    same = agreement(ours, released, model.predict_options.tasks)
    # a tenth of what the release is held to
    assert same['class_probs'] < 1e-5
    assert same['mask_logits'] < 1e-5
    assert same['pixels'] == {task.value: 1.0 for task in Task}
    assert same['left_out'] == 0


def test_equals_with_every_mask(
    tiny_model_config, build_tiny_model, predictions
):
    """By default some masks are left out for being no objects."""
    tiny_model_config.test_cfg.min_object_prob = 0.0
    model = build_tiny_model(tiny_model_config).eval()
    ours, released = predictions(model)
    same = agreement(ours, released, model.predict_options.tasks)
    assert same['class_probs'] < 1e-5
    assert same['pixels'] == {task.value: 1.0 for task in Task}
    assert len(ours[0].samples[0].pred_instances) > 3


def test_equals_with_padding(build_tiny_model, predictions):
    model = build_tiny_model().eval()
    same = agreement(
        *predictions(model, img_shape=(40, 56), ori_shape=(80, 112)),
        model.predict_options.tasks,
    )
    assert same['class_probs'] < 1e-5
    assert same['mask_logits'] < 1e-5


@pytest.mark.parametrize(
    'change',
    [
        {'panoptic_head.context_interaction': None},
        {'test_cfg.ensemble.mode': 'query', 'mask_classifier': None},
        {'test_cfg.tasks': ['panoptic']},
        {'clip_prompt': None},
        {'prompt_learner.fusion': 'embed'},
    ],
)
def test_equals_for_every_kind_of_model(
    tiny_model_config, build_tiny_model, predictions, change
):
    for key, value in change.items():
        *parents, last = key.split('.')
        node = tiny_model_config
        for parent in parents:
            node = node[parent]
        node[last] = value
    model = build_tiny_model(tiny_model_config).eval()
    same = agreement(*predictions(model), model.predict_options.tasks)
    assert same['class_probs'] < 1e-5
    assert same['mask_logits'] < 1e-5


def test_price(build_tiny_model, inputs, make_sample, tiny_vocabulary):
    model = build_tiny_model().eval()
    flow = ReleasedFlow(model)
    meter = Meter(HostSyncCounter(inputs.device))
    with (
        count_traffic(model.clip) as traffic,
        recorded(flow.model) as prediction,
        meter.watch(predict_hotspots(flow.model)),
    ):
        flow.predict(inputs, [make_sample(), make_sample()])
    calls = meter.calls
    assert calls['backbone'] == 1
    assert calls['pixel decoder'] == calls['decoder'] == 3
    assert calls['interaction'] == calls['CLIP images'] == 3
    assert calls['text'] == 6
    masks = torch.cat(prediction.mask_logits, dim=1)
    empty = (masks <= 0).all(-1).all(-1).sum().item()
    # 2 images x 3 tasks x 6 queries
    assert traffic['CLIP images'] == 36 - empty > 30
    # each of the five names for three tasks, for queries and for CLIP
    assert traffic['text prompts'] == 5 * 3 * 2
    assert traffic['text tokens'] == 5 * 3 * 2 * 77
    # whether each mask is empty, and the four edges of its box
    per_mask = meter.amounts['CLIP images'] / 36
    assert per_mask >= 5


def test_keeps_nothing(build_tiny_model, inputs, make_sample):
    model = build_tiny_model().eval()
    flow = ReleasedFlow(model)
    tokens = []
    for _ in range(2):
        with count_traffic(model.clip) as traffic:
            flow.predict(inputs, [make_sample(), make_sample()])
        tokens.append(traffic['text tokens'])
    assert tokens[0] == tokens[1] > 0


def test_leaves_the_model_as_it_was(build_tiny_model, inputs, make_sample):
    model = build_tiny_model().eval()
    modules = dict(model.named_modules())
    ReleasedFlow(model).predict(inputs, [make_sample(), make_sample()])
    assert dict(model.named_modules()) == modules


def test_has_no_weights_of_its_own(build_tiny_model):
    model = build_tiny_model().eval()
    theirs = set(map(id, ReleasedFlow(model).model.parameters()))
    assert theirs == set(map(id, model.parameters()))


@pytest.mark.parametrize('with_prefix', [False, True])
def test_full_context_tower_equals_text_tower(build_tiny_model, with_prefix):
    tower = build_tiny_model().clip.text
    torch.manual_seed(0)
    embeddings, end = torch.randn(3, 5, tower.width), torch.tensor([4, 2, 3])
    prefix = (torch.randn(4, tower.width),) if with_prefix else ()
    torch.testing.assert_close(
        FullContextTower(tower).encode(embeddings, end, *prefix),
        tower.encode(embeddings, end, *prefix),
    )
