"""FC-CLIP's forward pass, from an ordinary config; tests/data/fcclip."""

import json
import re
import zlib
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch.testing import assert_close

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary

DATA = Path(__file__).resolve().parents[1] / 'data' / 'fcclip'
WIDTH = 64
SEEDS = {'convnext': 18, 'rn': 39}
CHANNELS = {'convnext': [32, 64, 96, 128], 'rn': [32, 64, 128, 256]}
# detectron2's names, then ours; a row is used where it matches first
NAMES = [
    (r'backbone\.clip_model\.', 'clip.'),
    (r'void_embedding\.weight', 'cls_embed.no_object'),
    (r'input_proj\.(\d)\.0', r'input_convs.\1.conv'),
    (r'input_proj\.(\d)\.1', r'input_convs.\1.gn'),
    (r'transformer\.level_embed', 'level_encoding.weight'),
    (r'transformer\.encoder', 'encoder'),
    (r'mask_features', 'mask_feature'),
    (r'adapter_1\.weight', 'lateral_convs.0.conv.weight'),
    (r'adapter_1\.norm', 'lateral_convs.0.gn'),
    (r'layer_1\.weight', 'output_convs.0.conv.weight'),
    (r'layer_1\.norm', 'output_convs.0.gn'),
    (r'cross_attention_layers\.(\d)\.multihead_attn', r'\1.cross_attn.attn'),
    (r'cross_attention_layers\.(\d)\.norm', r'\1.norms.0'),
    (r'self_attention_layers\.(\d)\.self_attn', r'\1.self_attn.attn'),
    (r'self_attention_layers\.(\d)\.norm', r'\1.norms.1'),
    (r'ffn_layers\.(\d)\.norm', r'\1.norms.2'),
    (r'ffn_layers\.(\d)\.linear', r'\1.linear'),
    (r'predictor\.transformer_', 'transformer_decoder.layers.'),
    (r'predictor\.decoder_norm', 'transformer_decoder.post_norm'),
    (r'linear1', 'ffn.layers.0.0'),
    (r'linear2', 'ffn.layers.1'),
    (r'(layers\.\d\.)norm1', r'\1norms.0'),
    (r'(layers\.\d\.)norm2', r'\1norms.1'),
    (r'mask_embed\.layers\.0', 'mask_embed.0'),
    (r'mask_embed\.layers\.1', 'mask_embed.2'),
    (r'mask_embed\.layers\.2', 'mask_embed.4'),
    (r'class_embed\.layers\.0', 'cls_embed.project.0'),
    (r'class_embed\.layers\.1', 'cls_embed.project.2'),
    (r'class_embed\.layers\.2', 'cls_embed.project.4'),
    (r'_mask_pooling_proj', 'mask_pooling'),
    (r'predictor\.logit_scale', 'cls_embed.log_temperature'),
    (r'predictor\.', ''),
    (r'sem_seg_head\.', ''),
]


def drawn(key, shape, seed):
    """The tensor of a key, by the rule of the data's README."""
    seed = (zlib.crc32(key.encode()) + seed) % 2**32
    count = int(np.prod(shape))
    x = np.random.RandomState(seed).standard_normal(count).reshape(shape)
    if key.endswith('logit_scale'):
        x = np.array(2.5 if 'predictor' in key else 3.0)
    elif key.endswith('running_var'):
        x = 1 + 0.1 * np.abs(x)
    elif len(shape) == 1 and key.endswith(('.weight', '.gamma')):
        x = 1 + 0.1 * x
    elif len(shape) == 1:
        x = 0.1 * x
    elif not key.endswith(
        (
            'query_feat.weight',
            'query_embed.weight',
            'token_embedding.weight',
            'positional_embedding',
        )
    ):
        x = x / np.sqrt(np.prod(shape[1:]))
        if key.endswith(
            (
                'out_proj.weight',
                'output_proj.weight',
                'linear2.weight',
                'c_proj.weight',
            )
        ):
            x = 0.3 * x
    return torch.from_numpy(np.asarray(x, np.float32))


def renamed(key):
    for theirs, ours in NAMES:
        key = re.sub(theirs, ours, key)
    return key


def weights(kind):
    """CLIP's and the head's weights, with our names."""
    keys = json.loads((DATA / f'{kind}_keys.json').read_text())
    state = {
        renamed(key): drawn(key, tuple(shape), SEEDS[kind])
        for key, shape in keys.items()
        if not key.startswith('criterion')
    }
    state['cls_embed.no_object'] = state['cls_embed.no_object'][0]
    clip = {k[5:]: v for k, v in state.items() if k.startswith('clip.')}
    head = {k: v for k, v in state.items() if not k.startswith('clip.')}
    return clip, head


@pytest.fixture(scope='module')
def expected():
    with np.load(DATA / 'convnext_padded.npz') as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


def fcclip_config(repo, kind, clip_weights):
    """The convolutional network with FC-CLIP's parts, at the data's size."""
    init_default_scope('mmdet')
    config = Config.fromfile(repo / 'configs/freeseg/coco_convclip.py')
    attention = {'embed_dims': WIDTH, 'num_heads': 4}
    positions = {'num_feats': WIDTH // 2}
    decoder_layer = {
        'self_attn_cfg': attention,
        'cross_attn_cfg': attention,
        'ffn_cfg': {'embed_dims': WIDTH, 'feedforward_channels': 128},
    }
    prompts = {
        '_delete_': True,
        'type': 'freeseg_mm.FixedPrompt',
        'class_template': 'vild14',
        'task_template': None,
    }
    config.merge_from_dict(
        {
            'model': {
                'clip': {
                    'model': str(DATA / f'open_clip_{kind}.json'),
                    'pretrained': str(clip_weights),
                },
                'prompt_learner': prompts,
                'mask_classifier': {'pooling': 'binary'},
                'panoptic_head': {
                    'in_channels': CHANNELS[kind],
                    'feat_channels': WIDTH,
                    'out_channels': WIDTH,
                    'num_queries': 20,
                    'pool_mask_features': True,
                    'classifier': {
                        'hidden_channels': WIDTH,
                        'num_layers': 3,
                        'learn_temperature': True,
                        'max_temperature': 100.0,
                    },
                    'pixel_decoder': {
                        'encoder': {
                            'num_layers': 2,
                            'layer_cfg': {
                                'self_attn_cfg': attention,
                                'ffn_cfg': {'embed_dims': WIDTH},
                            },
                        },
                        'positional_encoding': positions,
                    },
                    'transformer_decoder': {
                        'num_layers': 4,
                        'layer_cfg': decoder_layer,
                    },
                    'positional_encoding': positions,
                },
                'test_cfg': {
                    # FC-CLIP weights CLIP with 0.4 and 0.8
                    'ensemble': {'seen_weight': 0.6, 'unseen_weight': 0.2},
                    'min_object_prob': 0.0,
                    'object_score_thr': 0.0,
                    'overlap_thr': 0.2,
                    'max_per_image': 30,
                    'panoptic_rule': 'no_object',
                    'overlap_pixels': 'won',
                    'instance_ranking': 'all_classes',
                },
            }
        }
    )
    config.model.prompt_learner = ConfigDict(prompts)
    config.model.prompt_learner.pop('_delete_')
    config.model.panoptic_head.context_interaction = None
    config.model.data_preprocessor.batch_augments = None
    return config.model


@pytest.fixture(scope='module')
def build(repo, tmp_path_factory):
    """Build the network on a kind of CLIP, with its weights."""

    def build_kind(kind):
        clip, head = weights(kind)
        path = tmp_path_factory.mktemp('fcclip') / 'clip.pt'
        torch.save(clip, path)
        model = MODELS.build(fcclip_config(repo, kind, path)).eval()
        model.panoptic_head.load_state_dict(head)
        return model

    return build_kind


@pytest.fixture(scope='module')
def model(build):
    return build('convnext')


@pytest.fixture(scope='module')
def vocabulary():
    return Vocabulary.from_names(
        ['man', 'zebra', 'grass', 'sky', 'traffic light', 'pile of sand'],
        things=['man', 'zebra', 'traffic light'],
        unseen=['zebra', 'traffic light', 'pile of sand'],
        synonyms={
            'man': ['woman'],
            'zebra': ['striped horse'],
            'grass': ['lawn'],
        },
    )


@pytest.fixture
def inputs(model, expected, vocabulary, make_sample):
    """The photograph, as a test pipeline loads it."""
    image = expected['image_rgb'].permute(2, 0, 1).flip(0)  # BGR, as mmcv's
    height, width = expected['out_size'].tolist()
    sample = make_sample(
        vocabulary=vocabulary,
        size=(150, 200),
        ori_shape=(height, width),
    )
    data = {'inputs': [image], 'data_samples': [sample]}
    return model.data_preprocessor(data)


@pytest.fixture
def outputs(model, inputs, vocabulary, monkeypatch):
    """What a prediction computes on its way, and its results."""
    seen = {}

    def listen(part, name, method):
        call = getattr(part, method)

        def heard(*args, **kwargs):
            result = call(*args, **kwargs)
            seen[name] = (args, result)
            return result

        monkeypatch.setattr(part, method, heard)

    listen(model, 'feats', 'extract_feat')
    listen(model, 'logits', '_query_logits')
    listen(model, 'embeds', 'encode_masks')
    listen(model.panoptic_fusion_head, 'fusion', 'predict')
    (seen['result'],) = model.predict(inputs['inputs'], inputs['data_samples'])
    return seen


@torch.no_grad()
def test_text(model, expected, vocabulary):
    text = model.prompt_learner(model.clip.text, vocabulary, list(Task)[:1])

    assert_close(text[0], expected['text_classifier'][:-1], rtol=0, atol=1e-5)
    void = model.panoptic_head.cls_embed.no_object
    void = torch.nn.functional.normalize(void, dim=0)
    assert_close(void, expected['text_classifier'][-1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_logits_of_every_layer(model, inputs, expected, vocabulary):
    text = model.prompt_learner(model.clip.text, vocabulary, list(Task)[:1])
    feats = model.extract_feat(inputs['inputs'])
    assert_close(feats[-1][0], expected['res5'], rtol=0, atol=1e-4)
    low, *_, mask_features = model.panoptic_head.pixel_maps(feats)
    assert_close(low[0], expected['multi_scale_0'], rtol=0, atol=1e-4)
    assert_close(
        mask_features[0], expected['mask_features'], rtol=0, atol=1e-4
    )

    classes, masks = model.panoptic_head(feats, text, vocabulary)

    for layer, place in (('mask_logits_first', 0), ('mask_logits', -1)):
        assert_close(masks[place][0, 0], expected[layer], rtol=0, atol=1e-4)
    assert_close(
        torch.stack(classes)[:, 0, 0],
        expected['class_logits'],
        rtol=0,
        atol=1e-4,
    )


def test_class_probabilities(model, outputs, expected):
    embeds, shown = outputs['embeds'][1]
    assert shown.all()
    pooled = torch.nn.functional.normalize(expected['pooled_embeds'], dim=-1)
    assert_close(embeds[0, 0], pooled, rtol=0, atol=1e-5)
    probs = outputs['fusion'][0][0][0, 0]
    assert_close(
        probs,
        expected['class_log_probs'][:, :-1].exp() - 1e-8,
        rtol=0,
        atol=1e-5,
    )


def test_semantic_labels(outputs, expected):
    labels = outputs['result'].pred_sem_seg.sem_seg[0]
    assert torch.equal(labels, expected['sem_seg'].argmax(0))


def test_panoptic_segments(outputs, expected):
    found = outputs['result'].pred_panoptic_seg
    segments = [
        (part['label'], int((found.sem_seg == part['id']).sum()))
        for part in found.segments_info
    ]

    wanted = expected['panoptic_seg']
    assert sorted(segments) == sorted(
        (label, int((wanted == number).sum()))
        for number, label, _ in expected['segments'].tolist()
    )
    # and each where it is to be
    ids = {int(x) for x in found.sem_seg[wanted[None] > 0].unique()}
    assert len(ids) == len(segments) == 5
    for id_ in ids:
        assert len(wanted[found.sem_seg[0] == id_].unique()) == 1


def test_instances(outputs, expected):
    found = outputs['result'].pred_instances
    order = expected['instance_scores'].argsort(descending=True)
    masks = np.unpackbits(expected['instance_masks_packed'].numpy(), axis=1)

    assert_close(
        found.scores, expected['instance_scores'][order], rtol=0, atol=1e-6
    )
    assert torch.equal(found.labels, expected['instance_labels'][order])
    size = expected['out_size'].tolist()
    assert torch.equal(
        found.masks, torch.from_numpy(masks)[order].bool().view(-1, *size)
    )


def test_seen_classes_are_those_it_was_trained_on(vocabulary, expected):
    assert list(vocabulary.is_seen) == [
        bool(x) for x in expected['category_overlapping_mask']
    ]
    names = torch.tensor(vocabulary.prompt_to_class).bincount()
    assert torch.equal(names, expected['num_templates'])


def test_rules_of_the_default_give_other_results(model, inputs, expected):
    """Each of the options is needed for the numbers above."""
    usual = model.predict_options
    for changes in (
        {'panoptic_rule': 'score'},
        {'overlap_pixels': 'inside'},
        {'instance_ranking': 'things'},
    ):
        (result,) = model.predict(
            inputs['inputs'],
            deepcopy(inputs['data_samples']),
            options=usual.override(**changes),
        )
        found = (
            len(result.pred_panoptic_seg.segments_info),
            len(result.pred_instances),
        )
        assert found != (5, len(expected['instance_scores'])), changes


@torch.no_grad()
def test_resnet(build, inputs, vocabulary):
    """Masks of few cells are empty at stride 32: the queries score them."""
    model = build('rn')
    begin = model.panoptic_head.query_feat.weight[0, :3]
    assert_close(
        begin, torch.tensor([-2.2725, -1.2325, -0.4626]), rtol=0, atol=1e-4
    )
    logits, masks = model._forward(inputs['inputs'], inputs['data_samples'])
    _, shown = model.clip_scores(inputs['inputs'], masks, vocabulary)
    assert (~shown).sum() == 13

    for rule, number in (('drop', 7), ('query', 20)):
        options = model.predict_options.override(empty_masks=rule)
        (result,) = model.predict(
            inputs['inputs'], deepcopy(inputs['data_samples']), options=options
        )
        instances = result.pred_instances
        assert instances.scores.isfinite().all()
        assert 0 < len(instances) <= min(30, 3 * number)
    assert logits.isfinite().all()
