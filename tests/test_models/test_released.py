"""The authors' release, from its preset: every part against its formulas."""

import numpy as np
import pytest
import released_reference as reference
import torch
from fcclip_case import drawn_by_rule
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_sizes import shrink
from torch.testing import assert_close
from zoo_fixtures import as_released

from freeseg_mm.analysis.cost.released import ReleasedFlow
from freeseg_mm.apis import FreeSegInferencer
from freeseg_mm.cli.main import main
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.zoo.layouts import convert

HEADS, LAYERS = 4, 10
IMAGE, ORIGINAL = (60, 90), (40, 71)  # padded to 64 x 96
SEED = 3
NAMES = ['cat', 'grass', 'toy (small)', 'sky', 'dog', 'sea', 'zebra', 'car']
THINGS = ['cat', 'toy (small)', 'dog', 'zebra', 'car']
UNSEEN = ['toy (small)', 'sea', 'zebra']


@pytest.fixture(scope='module')
def vocabulary():
    return Vocabulary.from_names(NAMES, things=THINGS, unseen=UNSEEN)


@pytest.fixture(scope='module')
def config(repo, tiny_clip_config):
    """The preset at a size for tests."""
    init_default_scope('mmdet')
    config = Config.fromfile(repo / 'configs/freeseg/coco_released.py')
    shrink(config.model)
    config.model.clip = dict(tiny_clip_config)
    config.merge_from_dict(
        {
            'model': {
                'backbone': {
                    'depth': 18,
                    'base_channels': 8,
                    'stem_channels': 16,
                },
                'panoptic_head': {
                    'in_channels': [8, 16, 32, 64],
                    'num_queries': 20,
                    'transformer_decoder': {'num_layers': LAYERS},
                },
            }
        }
    )
    return config


@pytest.fixture(scope='module')
def weights(config):
    """A checkpoint of the authors, its numbers drawn by a rule."""
    state = MODELS.build(config.model).state_dict()
    return {
        key: drawn_by_rule(key, value.shape, SEED)
        for key, value in as_released(state).items()
    }


@pytest.fixture(scope='module')
def model(config, weights):
    model = MODELS.build(config.model).eval()
    model.load_state_dict(convert(weights, 'released', model.state_dict()))
    return model


@pytest.fixture(scope='module')
def rgb():
    """A smooth image with an edge, (3, H, W), whole numbers."""
    y, x = torch.meshgrid(
        *(torch.arange(length) for length in IMAGE), indexing='ij'
    )
    edge = ((x - 30) ** 2 + (y - 25) ** 2 < 300).float()
    channels = [
        128 + 90 * torch.sin(0.15 * x + 0.02 * y),
        40 + 2 * y + 70 * edge,
        200 - x - 90 * edge * torch.cos(0.3 * y),
    ]
    return torch.stack(channels).clamp(0, 255).floor()


@pytest.fixture
def inputs(model, rgb, vocabulary, make_sample):
    sample = make_sample(vocabulary=vocabulary, size=IMAGE, ori_shape=ORIGINAL)
    data = {'inputs': [rgb.flip(0)], 'data_samples': [sample]}  # BGR
    return model.data_preprocessor(data)


@pytest.fixture(scope='module')
def feats(model, rgb):
    inputs = model.data_preprocessor({'inputs': [rgb.flip(0)]})['inputs']
    with torch.no_grad():
        return model.extract_feat(inputs)


@pytest.fixture(scope='module')
def maps(model, feats):
    with torch.no_grad():
        return model.panoptic_head.pixel_maps(feats)


@pytest.fixture(scope='module')
def expected(weights, maps, rgb, vocabulary, open_clip_twin):
    """Each task's numbers, by the formulas."""
    clip, tokenizer = open_clip_twin
    found = {}
    with torch.no_grad():
        for task in Task:
            text = reference.text_embeds(
                weights, clip, tokenizer, NAMES, task.value
            )
            seen = reference.interaction(
                weights, [x[0] for x in maps], text, HEADS
            )
            queries, masks = reference.decoder(weights, seen, LAYERS, HEADS)
            logits = reference.class_logits(weights, queries, text)
            height, width = (4 * x for x in masks.shape[1:])
            full = reference.resize(
                masks.double().numpy(), (height, width), True
            )[:, : IMAGE[0], : IMAGE[1]]
            views = reference.clip_probs(
                rgb, torch.from_numpy(full > 0), text, clip, 32
            )
            probs = reference.ensemble(
                logits.double().numpy(), views, vocabulary.is_seen
            )
            found[task] = {
                'text': text,
                'maps': seen,
                'masks': masks,
                'full': full,
                'logits': logits,
                'probs': probs,
            }
    return found


@torch.no_grad()
def test_text(model, vocabulary, expected):
    text = model.prompt_learner(model.clip.text, vocabulary, list(Task))
    for found, task in zip(text, Task, strict=True):
        assert_close(found, expected[task]['text'], rtol=0, atol=1e-5)


@torch.no_grad()
def test_interaction(model, maps, expected):
    text = torch.stack([expected[task]['text'] for task in Task])
    enhanced = model.panoptic_head.context_interaction(
        maps, text, model.panoptic_head.cls_embed.unit_no_object
    )
    for level, found in enumerate(enhanced):
        for index, task in enumerate(Task):
            assert_close(
                found[0, index],
                expected[task]['maps'][level],
                rtol=0,
                atol=1e-4,
            )


@torch.no_grad()
def test_masks_and_logits(model, feats, vocabulary, expected):
    text = torch.stack([expected[task]['text'] for task in Task])
    logits, masks = model.panoptic_head.predict(feats, text, vocabulary)
    for index, task in enumerate(Task):
        for name, found in (('masks', masks), ('logits', logits)):
            assert_close(
                found[0, index], expected[task][name], rtol=0, atol=1e-3
            )


@pytest.fixture
def predicted(model, inputs, monkeypatch):
    """A prediction and the class probabilities it comes from."""
    head = model.panoptic_fusion_head
    fuse, probs = head.predict, []

    def listen(class_probs, *arguments):
        probs.append(class_probs)
        return fuse(class_probs, *arguments)

    monkeypatch.setattr(head, 'predict', listen)
    (result,) = model.predict(inputs['inputs'], inputs['data_samples'])
    return result, probs[0][0]


def test_class_probabilities(predicted, expected):
    for index, task in enumerate(Task):
        assert_close(
            predicted[1][index].double(),
            torch.from_numpy(expected[task]['probs']),
            rtol=0,
            atol=1e-3,
        )


def test_results(predicted, expected, vocabulary):
    cases = [expected[task] for task in Task]
    assert_same_results(
        predicted[0],
        [case['probs'] for case in cases],
        [case['full'] for case in cases],
        vocabulary,
        least=(1, 3, 0),
    )


def assert_same_results(result, probs, masks, vocabulary, least):
    """Compare a prediction with the rules; masks are at the image's size.

    ``least`` counts classes, segments and instances there have to be.
    """
    semantic, instance, panoptic = zip(probs, masks, strict=True)
    scores = reference.semantic_scores(*semantic)
    labels = reference.resize(scores, ORIGINAL, False).argmax(0)
    found = result.pred_sem_seg.sem_seg[0].numpy()
    assert len(np.unique(labels)) >= least[0]
    assert (found == labels).mean() > 0.999

    numbers, classes = reference.panoptic(*panoptic, vocabulary.is_thing)
    numbers = reference.nearest(numbers, ORIGINAL)
    found = result.pred_panoptic_seg.sem_seg[0].numpy()
    infos = result.pred_panoptic_seg.segments_info
    shown = [number for number in classes if (numbers == number).any()]
    assert len(shown) >= least[1]
    assert [info['label'] for info in infos] == [classes[n] for n in shown]
    for number, info in zip(shown, infos, strict=True):
        differ = (numbers == number) != (found == info['id'])
        assert differ.mean() < 1e-3
    assert ((numbers == 0) != (found == len(NAMES))).mean() < 1e-3

    kept = reference.instances(*instance, vocabulary.is_thing)
    found = result.pred_instances
    assert len(kept) >= least[2]
    assert found.labels.tolist() == [label for _, label, _ in kept]
    scores = torch.tensor([score for score, _, _ in kept]).double()
    assert_close(found.scores.double(), scores, rtol=0, atol=1e-3)
    for mask, (_, _, wanted) in zip(found.masks, kept, strict=True):
        wanted = reference.nearest(wanted, ORIGINAL)
        assert (mask.numpy() != wanted).mean() < 1e-3


@pytest.mark.parametrize('seed', [1, 2, 3, 4, 6, 9, 13, 14])
def test_rules_on_random_scenes(model, vocabulary, make_sample, seed):
    """Blobs of sure and unsure queries, as trained networks give them."""
    torch.manual_seed(seed)
    blobs = torch.randn(1, 3, 12, 4, 6) * 4 - 2
    masks = torch.nn.functional.interpolate(
        blobs[0], (16, 24), mode='bicubic'
    )[None]
    probs = (4 * torch.randn(1, 3, 12, len(NAMES))).softmax(-1)
    probs = probs * torch.rand(1, 3, 12, 1)
    sample = make_sample(vocabulary=vocabulary, size=IMAGE, ori_shape=ORIGINAL)
    meta = {**sample.metainfo, 'batch_input_shape': (64, 96)}
    results = model.panoptic_fusion_head.predict(
        probs, masks, [meta], vocabulary, model.predict_options
    )
    (sample,) = model.add_pred_to_datasample([sample], results)
    full = [
        reference.resize(x, (64, 96), True)[:, : IMAGE[0], : IMAGE[1]]
        for x in masks[0].double().numpy()
    ]
    assert_same_results(
        sample, list(probs[0].double().numpy()), full, vocabulary, (3, 3, 2)
    )


def test_command_converts_and_the_result_predicts(
    config, weights, model, inputs, vocabulary, rgb, tmp_path
):
    released = tmp_path / 'release.pth'
    file, out = tmp_path / 'coco_released.py', tmp_path / 'ours.pth'
    torch.save({'model': weights}, released)
    config.dump(file)
    words = ['--layout', 'released', '--config', file, '--out', out]

    assert main(['models', 'convert', *map(str, [released, *words])]) == 0

    inferencer = FreeSegInferencer(str(file), str(out), device='cpu')
    state = inferencer.model.state_dict()
    assert all(
        torch.equal(value, state[name])
        for name, value in model.state_dict().items()
    )
    segments = [
        network.predict(inputs['inputs'], inputs['data_samples'])[
            0
        ].pred_panoptic_seg.sem_seg.clone()
        for network in (model, inferencer.model)
    ]
    assert torch.equal(*segments)
    image = rgb.permute(1, 2, 0).byte().numpy()
    (result,) = inferencer(image, vocabulary)
    assert result.label_map.shape == IMAGE
    assert len(result.segments) > 0


def test_names_and_number_of_parameters_at_full_size(repo):
    """Of the 1,167 entries of their checkpoint, 858 have a place."""
    init_default_scope('mmdet')
    full = Config.fromfile(repo / 'configs/freeseg/coco_released.py').model
    full.panoptic_head.update(embed_dim=512)
    state = {
        'prompt_learner.class_prompt': torch.empty(16, 512, device='meta'),
        'prompt_learner.task_prompt': torch.empty(8, 512, device='meta'),
    }
    for part in ('backbone', 'panoptic_head'):
        with torch.device('meta'):
            built = MODELS.build(full[part])
        for name, value in built.state_dict().items():
            state[f'{part}.{name}'] = value
    released = as_released(state)
    assert len(released) - 4 == 858  # and four that have none
    converted = convert(released, 'released', state)
    assert {k: v.shape for k, v in converted.items()} == {
        k: v.shape for k, v in state.items()
    }
    shapes = {
        'backbone.stem.conv3.weight': (128, 64, 3, 3),
        'sem_seg_head.interaction.attn.q_proj.weight': (2048, 256),
        f'{reference.PREDICTOR}transformer_ffn_layers.9.norm.bias': (256,),
    }
    assert {k: tuple(released[k].shape) for k in shapes} == shapes


def test_yardstick_of_benchmarks_gives_the_same(model, inputs):
    """The slow flow of ``bench infer`` reads the options, too."""
    samples = inputs['data_samples']
    found = []
    for network in (model, ReleasedFlow(model)):
        (sample,) = network.predict(inputs['inputs'], samples)
        found.append(
            [
                sample.pred_sem_seg.sem_seg.clone(),
                sample.pred_panoptic_seg.sem_seg.clone(),
                sample.pred_instances.masks.clone(),
            ]
        )
    assert all(map(torch.equal, *found))
