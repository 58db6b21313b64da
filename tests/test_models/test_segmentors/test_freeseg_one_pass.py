"""CLIP's tower as the backbone, and what is predicted with other options."""

import pytest
import torch
from mmdet.models.dense_heads import Mask2FormerHead
from mmengine.config import ConfigDict
from torch.testing import assert_close

from freeseg_mm.models.clip import MaskPoolClassifier
from freeseg_mm.structures import Vocabulary


@pytest.fixture
def config(tiny_model_config, make_convolutional):
    config = make_convolutional(tiny_model_config)
    config.panoptic_head.classifier.temperature = 5.0
    return config


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64)


@pytest.fixture
def samples(make_sample):
    return [make_sample(img_id=1), make_sample(img_id=2)]


def count_passes(model):
    """Count images that pass the tower's first layer."""
    passes = []
    model.clip.clip.visual.trunk.stem.register_forward_hook(
        lambda _, inputs, output: passes.append(len(inputs[0]))
    )
    return passes


def test_tower_sees_an_image_once(build_tiny_model, config, images, samples):
    model = build_tiny_model(config).eval()
    passes = count_passes(model)

    model.predict(images, samples)
    assert passes == [2]

    config.mask_classifier.source = 'images'
    again = build_tiny_model(config).eval()
    passes = count_passes(again)
    again.predict(images, samples)
    assert passes == [2, 2]


def test_shared_map_predicts_as_a_pass_of_its_own(
    build_tiny_model, config, images, samples
):
    model = build_tiny_model(config).eval()
    masks = torch.randn(2, 1, 4, 16, 16)

    shared, valid = model.encode_masks(images, masks)
    model.mask_classifier = MaskPoolClassifier()
    own, _ = model.encode_masks(images, masks)

    assert valid.all()
    assert_close(shared, own, rtol=0, atol=1e-4)


def test_a_step_trains_all_but_the_tower(
    build_tiny_model, config, images, make_sample
):
    model = build_tiny_model(config).train()
    tower = model.clip.clip.visual
    before = [x.clone() for x in tower.state_dict().values()]
    sample = make_sample([[1, 2], [2, 2]], [0, 2])

    losses = model.loss(images[:1], [sample])
    sum(losses.values()).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()

    assert not any(name.startswith('backbone') for name in model.state_dict())
    assert all(map(torch.equal, before, tower.state_dict().values()))
    assert not any(p.requires_grad for p in tower.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_fine_tuned_tower_comes_with_the_checkpoint(build_tiny_model, config):
    config.backbone.frozen = False
    tuned, other = build_tiny_model(config), build_tiny_model(config)
    with torch.no_grad():
        for parameter in tuned.backbone.parameters():
            parameter.add_(0.1)

    other.load_state_dict(tuned.state_dict())

    assert other.clip.fingerprint == tuned.clip.fingerprint
    for one, two in zip(
        tuned.clip.clip.visual.parameters(),
        other.clip.clip.visual.parameters(),
        strict=True,
    ):
        assert torch.equal(one, two)


def test_backbones_map_needs_that_backbone(build_tiny_model, config):
    config.neck = {'type': 'mmdet.ChannelMapper', 'in_channels': [24]}
    config.neck |= {'out_channels': 24, 'num_outs': 1}
    with pytest.raises(ValueError, match="source='backbone' needs the last"):
        build_tiny_model(config)


# ---- the classifier's own options ----


def test_mask_features_under_a_mask_join_the_query(
    build_tiny_model, config, images, samples
):
    config.panoptic_head.pool_mask_features = True
    config.panoptic_head.context_interaction = None
    head = build_tiny_model(config).eval().panoptic_head
    maps = [torch.randn(1, 32, 64 // s, 64 // s) for s in (32, 16, 8, 4)]
    with torch.no_grad():
        found, masks = head.propose(maps, torch.zeros(1, 1, 1))
        head.mask_pooling[1].weight.zero_()
        head.mask_pooling[1].bias.zero_()
        plain, _ = head.propose(maps, torch.zeros(1, 1, 1))
        torch.nn.init.eye_(head.mask_pooling[1].weight)
        joined, _ = head.propose(maps, torch.zeros(1, 1, 1))

    assert (found[-1] - plain[-1]).norm() > 1e-2
    features = maps[-1][0]
    for query in range(6):
        inside = masks[-1][0, 0, query] > 0
        mean = torch.zeros(32)
        if inside.any():
            mean = features[:, inside].mean(-1)
        added = torch.nn.functional.layer_norm(mean, (32,))
        assert_close(
            joined[-1][0, 0, query],
            plain[-1][0, 0, query] + added,
            rtol=0,
            atol=1e-4,
        )


def stock_head(config, classes):
    """mmdet's own head with the sizes of a config."""
    settings = {
        key: value
        for key, value in config.panoptic_head.items()
        if key
        not in (
            'type',
            'context_interaction',
            'classifier',
            'no_object_weight',
            'closed_vocabulary',
        )
    }
    settings['loss_cls'] = ConfigDict(
        config.panoptic_head.loss_cls, class_weight=[1.0] * (classes + 1)
    )
    head = Mask2FormerHead(
        num_things_classes=classes, num_stuff_classes=0, **settings
    )
    head.init_weights()
    return head.eval()


@torch.no_grad()
def test_stock_mask2former_is_kept_whole(
    build_tiny_model, config, images, make_sample
):
    config.panoptic_head.update(
        context_interaction=None, closed_vocabulary='coco_panoptic133'
    )
    coco = Vocabulary.load('coco_panoptic133')
    model = build_tiny_model(config).eval()
    stock = stock_head(config, len(coco))
    torch.nn.init.normal_(stock.cls_embed.weight)
    model.panoptic_head.load_state_dict(stock.state_dict())
    feats = model.extract_feat(images)
    classes, masks = stock(feats, [])

    sample = make_sample(vocabulary=coco, task=None)
    ours, our_masks = model._forward(images[:1], [sample])

    assert_close(our_masks[0, 0], masks[-1][0], rtol=0, atol=1e-5)
    probs = classes[-1][0].softmax(-1)
    for task in range(3):
        assert_close(ours[0, task].softmax(-1), probs, rtol=0, atol=1e-5)


@torch.no_grad()
def test_unknown_names_get_clips_scores_alone(
    build_tiny_model, config, images, make_sample, monkeypatch
):
    config.panoptic_head.update(
        context_interaction=None, closed_vocabulary='coco_panoptic133'
    )
    config.test_cfg.ensemble.update(seen_weight=1.0, unseen_weight=0.0)
    model = build_tiny_model(config).eval()
    # marks of the vocabulary are about another training
    words = Vocabulary.from_names(['cat', 'gherkin', 'gazebo'], unseen=['cat'])
    seen = []
    fuse = model.panoptic_fusion_head.predict

    def listen(class_probs, *arguments):
        seen.append(class_probs)
        return fuse(class_probs, *arguments)

    monkeypatch.setattr(model.panoptic_fusion_head, 'predict', listen)
    sample = make_sample(vocabulary=words, task=None)
    model.predict(images[:1], [sample])
    queries, masks = model._forward(images[:1], [sample])
    embeds, shown = model.encode_masks(images[:1], masks)
    clip = model.clip_view(embeds, shown, words, model.predict_options)

    cat = queries.softmax(-1)[..., 0] / (1 - queries.softmax(-1)[..., -1])
    others = clip.softmax(-1)[..., 1:]
    total = cat + others.sum(-1)
    known = shown.expand_as(cat)
    assert known.any()
    objects = 1 - queries.softmax(-1)[..., -1]
    expected = torch.cat([cat[..., None], others], -1)
    expected = expected * (objects / total)[..., None]
    assert_close(seen[0][known], expected[known], rtol=0, atol=1e-5)


def test_tuning_by_queries_needs_text(build_tiny_model, config):
    config.panoptic_head.closed_vocabulary = 'coco_panoptic133'
    config.test_cfg.prompt_tuning.steps = 1
    with pytest.raises(ValueError, match="closed_vocabulary set it to 'clip'"):
        build_tiny_model(config)


@pytest.mark.parametrize('rule', ['drop', 'query'])
def test_masks_that_show_nothing(
    rule, build_tiny_model, config, images, samples, monkeypatch
):
    model = build_tiny_model(config).eval()
    model.set_defaults(empty_masks=rule, object_score_thr=0.0)
    propose, fuse = (
        model.panoptic_head.propose,
        model.panoptic_fusion_head.predict,
    )
    probs = []

    def with_an_empty_mask(*arguments):
        queries, masks = propose(*arguments)
        masks[-1][:, :, 2] = -1.0
        return queries, masks

    def listen(class_probs, *arguments):
        probs.append(class_probs)
        return fuse(class_probs, *arguments)

    monkeypatch.setattr(model.panoptic_head, 'propose', with_an_empty_mask)
    monkeypatch.setattr(model.panoptic_fusion_head, 'predict', listen)
    model.predict(images, samples)
    model.set_defaults(mode='query')
    model.predict(images, samples)

    mixed, alone = probs
    if rule == 'drop':
        assert (mixed[:, :, 2] == 0).all()
    else:
        assert_close(mixed[:, :, 2], alone[:, :, 2])
    assert (mixed[:, :, 1] - alone[:, :, 1]).norm() > 1e-3
