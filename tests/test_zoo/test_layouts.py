"""Names of other checkpoints, each in its place or an error."""

import json

import pytest
import torch

from freeseg_mm.zoo.layouts import LAYOUTS, convert


def numbered(names):
    """A state of small tensors that all differ."""
    return {name: torch.tensor([float(i)]) for i, name in enumerate(names)}


# a name of each kind, there and here
NAMES = {
    'detectron2': {
        'backbone.stem.conv1.weight': 'backbone.conv1.weight',
        'backbone.stem.conv1.norm.bias': 'backbone.bn1.bias',
        'backbone.res2.0.conv3.weight': 'backbone.layer1.0.conv3.weight',
        'backbone.res5.2.conv1.norm.running_var': (
            'backbone.layer4.2.bn1.running_var'
        ),
        'backbone.res3.0.shortcut.weight': (
            'backbone.layer2.0.downsample.0.weight'
        ),
        'backbone.res3.0.shortcut.norm.weight': (
            'backbone.layer2.0.downsample.1.weight'
        ),
        'sem_seg_head.pixel_decoder.input_proj.2.0.weight': (
            'panoptic_head.pixel_decoder.input_convs.2.conv.weight'
        ),
        'sem_seg_head.pixel_decoder.input_proj.1.1.bias': (
            'panoptic_head.pixel_decoder.input_convs.1.gn.bias'
        ),
        'sem_seg_head.pixel_decoder.transformer.level_embed': (
            'panoptic_head.pixel_decoder.level_encoding.weight'
        ),
        'sem_seg_head.pixel_decoder.transformer.encoder.layers.5.self_attn'
        '.value_proj.weight': (
            'panoptic_head.pixel_decoder.encoder.layers.5.self_attn'
            '.value_proj.weight'
        ),
        'sem_seg_head.pixel_decoder.transformer.encoder.layers.0.linear2'
        '.bias': (
            'panoptic_head.pixel_decoder.encoder.layers.0.ffn.layers.1.bias'
        ),
        'sem_seg_head.pixel_decoder.mask_features.weight': (
            'panoptic_head.pixel_decoder.mask_feature.weight'
        ),
        'sem_seg_head.pixel_decoder.adapter_1.weight': (
            'panoptic_head.pixel_decoder.lateral_convs.0.conv.weight'
        ),
        'sem_seg_head.pixel_decoder.layer_1.norm.weight': (
            'panoptic_head.pixel_decoder.output_convs.0.gn.weight'
        ),
        'sem_seg_head.predictor.transformer_cross_attention_layers.8'
        '.multihead_attn.in_proj_weight': (
            'panoptic_head.transformer_decoder.layers.8.cross_attn.attn'
            '.in_proj_weight'
        ),
        'sem_seg_head.predictor.transformer_self_attention_layers.3.norm'
        '.weight': (
            'panoptic_head.transformer_decoder.layers.3.norms.1.weight'
        ),
        'sem_seg_head.predictor.transformer_ffn_layers.3.linear1.weight': (
            'panoptic_head.transformer_decoder.layers.3.ffn.layers.0.0.weight'
        ),
        'sem_seg_head.predictor.decoder_norm.weight': (
            'panoptic_head.transformer_decoder.post_norm.weight'
        ),
        'sem_seg_head.predictor.static_query.weight': (
            'panoptic_head.query_feat.weight'
        ),
        'sem_seg_head.predictor.mask_embed.layers.2.bias': (
            'panoptic_head.mask_embed.4.bias'
        ),
        'sem_seg_head.predictor.class_embed.weight': (
            'panoptic_head.cls_embed.weight'
        ),
        'criterion.empty_weight': None,
    },
    'fcclip': {
        'sem_seg_head.predictor.logit_scale': (
            'panoptic_head.cls_embed.log_temperature'
        ),
        'sem_seg_head.predictor._mask_pooling_proj.1.weight': (
            'panoptic_head.mask_pooling.1.weight'
        ),
        'sem_seg_head.predictor.class_embed.layers.2.bias': (
            'panoptic_head.cls_embed.project.4.bias'
        ),
        'void_embedding.weight': 'panoptic_head.cls_embed.no_object',
        'sem_seg_head.predictor.query_feat.weight': (
            'panoptic_head.query_feat.weight'
        ),
        'backbone.clip_model.visual.trunk.stem.0.weight': None,
        'backbone.clip_model.ln_final.bias': None,
    },
    'released': {
        'backbone.stem.conv1.weight': 'backbone.stem.0.weight',
        'backbone.stem.conv2.norm.bias': 'backbone.stem.4.bias',
        'backbone.stem.conv3.weight': 'backbone.stem.6.weight',
        'backbone.res4.22.conv2.norm.weight': 'backbone.layer3.22.bn2.weight',
        'sem_seg_head.interaction.layer_norm_k_1.bias': (
            'panoptic_head.context_interaction.text_norm.bias'
        ),
        'sem_seg_head.interaction.attn.out_proj.weight': (
            'panoptic_head.context_interaction.output.weight'
        ),
        'sem_seg_head.interaction.gamma': (
            'panoptic_head.context_interaction.gamma'
        ),
        'sem_seg_head.predictor.class_embed.layers.1.weight': (
            'panoptic_head.cls_embed.project.2.weight'
        ),
        'clip_adapter.non_object_embedding': (
            'panoptic_head.cls_embed.no_object'
        ),
        'clip_adapter.prompt_learner.prefix_prompt': (
            'prompt_learner.class_prompt'
        ),
        'clip_adapter.prompt_learner.task_prompt': (
            'prompt_learner.task_prompt'
        ),
        'clip_adapter.prompt_learner.dot_signal': None,
        'clip_adapter.clip_model.visual.proj': None,
        'clip_adapter.pixel_mean': None,
    },
    'mmdet': {
        'backbone.layer1.0.conv1.weight': 'backbone.layer1.0.conv1.weight',
        'panoptic_head.cls_embed.weight': 'panoptic_head.cls_embed.weight',
    },
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_each_kind_of_name_has_its_place(layout):
    state = numbered(NAMES[layout])
    wanted = {
        target: torch.zeros(1) for target in NAMES[layout].values() if target
    }
    expected = {
        target: state[source]
        for source, target in NAMES[layout].items()
        if target
    }
    assert convert(state, layout, wanted) == expected
    assert list(convert(state, layout, wanted)) == sorted(expected)


def model(**shapes):
    return {f'backbone.{n}': torch.zeros(s) for n, s in shapes.items()}


def test_a_name_without_a_rule_is_listed():
    state = {**model(a=(1,)), 'ema.a': torch.zeros(1), 'b': torch.zeros(1)}
    with pytest.raises(
        ValueError, match="'mmdet' has no rule for 2 parameters: ema.a, b;"
    ):
        convert(state, 'mmdet', model(a=(1,)))


def test_missing_parameters_are_listed():
    with pytest.raises(
        ValueError, match='the file lacks 2 parameters: backbone.b, backbone.c'
    ):
        convert(model(a=(1,)), 'mmdet', model(a=(1,), b=(1,), c=(1,)))


def test_parameters_left_over_are_named_as_there():
    state = {
        'sem_seg_head.predictor.query_feat.weight': torch.zeros(2, 3),
        'void_embedding.weight': torch.zeros(1, 4),
    }
    wanted = {'panoptic_head.query_feat.weight': torch.zeros(2, 3)}
    with pytest.raises(
        ValueError,
        match=r'the model has no 1 parameters: panoptic_head.cls_embed.'
        r'no_object \(there void_embedding.weight\)',
    ):
        convert(state, 'fcclip', wanted)


def test_another_shape_is_named():
    with pytest.raises(
        ValueError,
        match=r'backbone.a is \(2, 3\) in the file and \(3, 2\) in the model',
    ):
        convert(model(a=(2, 3)), 'mmdet', model(a=(3, 2)))


def test_two_names_for_one_place_are_refused():
    state = numbered(
        f'sem_seg_head.predictor.{name}.weight'
        for name in ('query_feat', 'static_query')
    )
    with pytest.raises(ValueError, match='both become panoptic_head.query_'):
        convert(
            state, 'fcclip', {'panoptic_head.query_feat.weight': torch.ones(1)}
        )


def test_unknown_layout():
    with pytest.raises(ValueError, match="no layout 'caffe'; known are mmdet"):
        convert({}, 'caffe', {})


def test_a_vector_kept_as_a_row_is_a_vector():
    state = {'void_embedding.weight': torch.arange(4.0)[None]}
    name = 'panoptic_head.cls_embed.no_object'
    converted = convert(state, 'fcclip', {name: torch.zeros(4)})
    assert converted[name].tolist() == [0, 1, 2, 3]
    # two rows are no vector
    with pytest.raises(ValueError, match=r'is \(2, 4\) in the file and \(4,'):
        convert(
            {'void_embedding.weight': torch.zeros(2, 4)},
            'fcclip',
            {name: torch.zeros(4)},
        )


def test_counters_of_batch_norms_begin_at_0():
    wanted = {
        'backbone.bn1.num_batches_tracked': torch.tensor(7),
        'backbone.bn1.weight': torch.zeros(2),
    }
    state = {'backbone.stem.conv1.norm.weight': torch.ones(2)}
    converted = convert(state, 'detectron2', wanted)
    assert converted['backbone.bn1.num_batches_tracked'] == 0


def test_a_tuned_tower_is_kept():
    state = {'backbone.clip_model.visual.trunk.stem.0.bias': torch.ones(2)}
    wanted = {'backbone.tower.trunk.stem.0.bias': torch.zeros(2)}
    assert convert(state, 'fcclip', wanted).keys() == wanted.keys()


def test_half_precision_becomes_the_models():
    state = {'backbone.a': torch.ones(2, dtype=torch.float16)}
    converted = convert(state, 'mmdet', model(a=(2,)))
    assert converted['backbone.a'].dtype == torch.float32


def test_results_are_copies():
    """What is saved has its own memory, in the order of its shape."""
    base = torch.arange(6.0).view(2, 3)
    converted = convert({'backbone.a': base.T}, 'mmdet', model(a=(3, 2)))
    value = converted['backbone.a']
    assert value.is_contiguous()
    assert value.untyped_storage().nbytes() == 6 * 4
    base.zero_()
    assert value.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_every_name_of_a_real_fcclip_has_a_rule(repo):
    path = repo / 'tests/data/fcclip/convnext_keys.json'
    shapes = json.loads(path.read_text())
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match='the model has no') as error:
        convert(state, 'fcclip', {})
    kept = [
        name
        for name in shapes
        if not name.startswith(('backbone.clip_model.', 'criterion.'))
    ]
    assert f'has no {len(kept)} parameters' in str(error.value)
