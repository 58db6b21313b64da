"""FC-CLIP's forward pass, from the zoo's config; tests/data/fcclip."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from fcclip_case import fcclip_config, fcclip_numbers, fcclip_state
from torch.testing import assert_close

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.zoo.layouts import convert


@pytest.fixture(scope='module')
def expected():
    return fcclip_numbers()


def build(kind, folder):
    """The network on a kind of CLIP, with its converted weights."""
    model = MODELS.build(fcclip_config(folder / 'clip.pt', kind).model).eval()
    model.load_state_dict(
        convert(fcclip_state(kind), 'fcclip', model.state_dict())
    )
    return model


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return build('convnext', tmp_path_factory.mktemp('fcclip'))


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
        mask_features[0, ::16], expected['mask_features'], rtol=0, atol=1e-4
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
    assert torch.equal(labels, expected['semantic_labels'].long())


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
def test_resnet(inputs, vocabulary, tmp_path):
    """Masks that are empty at stride 32 are scored by the queries alone."""
    model = build('rn', tmp_path)
    begin = model.panoptic_head.query_feat.weight[0, :3]
    assert_close(
        begin, torch.tensor([-2.2725, -1.2325, -0.4626]), rtol=0, atol=1e-4
    )
    queries, masks = model._forward(inputs['inputs'], inputs['data_samples'])
    _, shown = model.encode_masks(inputs['inputs'], masks)
    assert (~shown).sum() == 13

    found = {}
    for rule in ('drop', 'query'):
        (result,) = model.predict(
            inputs['inputs'],
            deepcopy(inputs['data_samples']),
            options=model.predict_options.override(
                empty_masks=rule, score_thr=0.0
            ),
        )
        assert result.pred_instances.scores.isfinite().all()
        found[rule] = len(result.pred_instances)
    assert 0 < found['drop'] < found['query']
    assert queries.isfinite().all()
