from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from freeseg_mm.analysis.cost.probes import HostSyncCounter
from freeseg_mm.models.clip import MaskPoolClassifier

# 96 pixels: 3 x 3 cells
KINDS = {
    'resnet': {},
    'convnext': {},
    'convnext_mlp': {'timm_proj': 'mlp'},
    'convnext_no_proj': {'timm_proj': '', 'timm_pool': 'avg'},
}


@pytest.fixture
def build(build_clip):
    def build_kind(kind, image_size=96):
        return build_clip(
            kind.split('_')[0], image_size=image_size, **KINDS[kind]
        )

    return build_kind


def images_of(*shape):
    return torch.rand(*shape) * 255


@pytest.mark.parametrize('kind', KINDS)
def test_full_mask_has_clips_own_embedding(kind, build):
    clip = build(kind)
    images = images_of(2, 3, 96, 96)

    embeds, valid = MaskPoolClassifier()(
        clip, images, torch.full((2, 3, 24, 24), 9.0)
    )

    expected = clip.encode_images(clip.normalize(images))
    assert embeds.shape == (2, 3, 16)
    assert valid.all()
    for mask in range(3):
        assert_close(embeds[:, mask], expected, rtol=1e-5, atol=1e-5)
    assert (expected[0] - expected[1]).norm() > 0.02  # says something


def test_average_by_hand(build):
    # mask of cell 0 and half of cell 1: weights 2/3 and 1/3
    clip = build('convnext')
    visual = clip.clip.visual
    images = images_of(1, 3, 96, 96)
    logits = torch.full((1, 1, 6, 6), -9.0)
    logits[..., :2, :3] = 9.0

    embeds, _ = MaskPoolClassifier()(clip, images, logits)

    with torch.no_grad():
        cells = visual.trunk.forward_features(clip.normalize(images))
        mean = (2 * cells[..., 0, 0] + cells[..., 0, 1]) / 3
        head = visual.trunk.head
        expected = visual.head(head.norm(mean[..., None, None]).flatten(1))
    assert_close(embeds[0], F.normalize(expected, dim=-1))


def test_attention_equals_the_pool_on_the_cells_inside(build):
    # the mask is a column of cells: open_clip's own pool on these alone,
    # with their positions
    clip = build('resnet')
    visual = clip.clip.visual
    images = images_of(2, 3, 96, 96)
    logits = torch.full((2, 1, 12, 12), -9.0)
    logits[..., 4:8] = 9.0

    embeds, _ = MaskPoolClassifier()(clip, images, logits)

    pool = deepcopy(visual.attnpool)
    with torch.no_grad():
        x = visual.stem(clip.normalize(images))
        for number in range(1, 5):
            x = getattr(visual, f'layer{number}')(x)
        inside = [0, 1 + 1, 1 + 4, 1 + 7]
        pool.positional_embedding = torch.nn.Parameter(
            pool.positional_embedding[inside]
        )
        expected = F.normalize(pool(x[..., 1:2]), dim=-1)
    assert_close(embeds[:, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
def test_each_mask_is_alone(kind, build):
    clip = build(kind)
    images = images_of(2, 3, 96, 96)
    # whole cells, or all masks would cover about half of each
    logits = F.interpolate(torch.randn(2, 6, 3, 3), (24, 24))
    order = torch.tensor([3, 0, 5, 1, 3, 2])
    classify = MaskPoolClassifier()

    embeds, valid = classify(clip, images, logits)
    shuffled, shuffled_valid = classify(clip, images, logits[:, order])
    single, _ = classify(clip, images[1:], logits[1:, 4:5])

    assert_close(shuffled, embeds[:, order])
    assert torch.equal(shuffled_valid, valid[:, order])
    assert_close(single[0, 0], embeds[1, 4], rtol=1e-5, atol=1e-5)
    assert valid.all()
    assert (embeds[0, 0] - embeds[0, 1]).norm() > 1e-3


@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
def test_mask_smaller_than_a_cell_is_that_cell(kind, build, rectangle):
    clip = build(kind)
    pixel = rectangle((96, 96), (40, 41), (70, 71))
    empty = rectangle((96, 96), (0, 0))
    cell = rectangle((96, 96), (32, 64), (64, 96))

    embeds, valid = MaskPoolClassifier()(
        clip, images_of(1, 3, 96, 96), torch.stack([pixel, empty, cell])[None]
    )

    assert valid.tolist() == [[True, False, True]]
    assert_close(embeds.norm(dim=-1), torch.tensor([[1.0, 0, 1]]))
    assert_close(embeds[0, 0], embeds[0, 2])


@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
@pytest.mark.parametrize('image_size', [None, 96, (128, 32)])
def test_one_pass_at_any_size(kind, image_size, build):
    clip = build(kind)
    visual = clip.clip.visual
    first = visual.conv1 if kind == 'resnet' else visual.trunk.stem
    sizes = []
    hook = first.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:]))
    )
    for num_masks in (0, 1, 30):
        embeds, valid = MaskPoolClassifier(image_size=image_size)(
            clip, images_of(2, 3, 60, 92), torch.randn(2, num_masks, 15, 23)
        )
        assert embeds.shape == (2, num_masks, 16)
        assert valid.all()
    hook.remove()

    # multiples of 32: own size is 60 x 92; 92 / 60 * 96 = 147.2
    expected = {None: (64, 96), 96: (96, 160)}.get(image_size, image_size)
    assert sizes == [expected] * 3


def test_resnet_of_another_size(build):
    # position embeddings go along; a model of that size is the reference
    from freeseg_mm.models.clip.one_pass_classifier import resize_positions

    small, large = build('resnet'), deepcopy(build('resnet', 128))
    state = small.clip.visual.state_dict()
    state['attnpool.positional_embedding'] = resize_positions(
        state['attnpool.positional_embedding'], (3, 3), (4, 4)
    )
    large.clip.visual.load_state_dict(state)
    images = images_of(1, 3, 128, 128)

    embeds, _ = MaskPoolClassifier(image_size=128)(
        small, images, torch.full((1, 1, 8, 8), 9.0)
    )

    expected = large.encode_images(large.normalize(images))
    assert_close(embeds[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
@pytest.mark.parametrize('way', ['weights', 'autocast'])
def test_half_precision_is_close(way, kind, build):
    clip = build(kind)
    images, logits = images_of(1, 3, 96, 96), torch.randn(1, 3, 24, 24)
    classify = MaskPoolClassifier()
    expected, _ = classify(clip, images, logits)
    if way == 'weights':
        clip = deepcopy(clip)
        clip.clip.visual.bfloat16()

    with torch.autocast('cpu', torch.bfloat16, enabled=way == 'autocast'):
        embeds, _ = classify(clip, images, logits)

    assert embeds.dtype == torch.float32
    assert not torch.equal(embeds, expected)
    assert (F.cosine_similarity(embeds, expected, -1) > 0.98).all()


def test_gives_no_gradient(build):
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)

    embeds, _ = MaskPoolClassifier()(
        build('resnet'), images_of(1, 3, 96, 96).requires_grad_(), logits
    )

    assert not embeds.requires_grad


@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
def test_does_not_wait_for_the_device(kind, build):
    images, logits = images_of(1, 3, 96, 96), torch.randn(1, 3, 24, 24)
    clip = build(kind)

    with HostSyncCounter(torch.device('cpu')) as counter:
        MaskPoolClassifier()(clip, images, logits)

    assert counter.by_kind == {}


@pytest.mark.gpu
@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
def test_equals_itself_on_a_gpu(kind, build):
    clip = deepcopy(build(kind))
    images, logits = images_of(1, 3, 96, 96), torch.randn(1, 3, 24, 24)
    expected, _ = MaskPoolClassifier()(clip, images, logits)

    clip.cuda()
    embeds, _ = MaskPoolClassifier()(clip, images.cuda(), logits.cuda())

    assert_close(embeds.cpu(), expected, rtol=1e-2, atol=1e-2)  # TF32


REFUSED = {
    'it is a VisionTransformer': ('vit', {}),
    "it is timm's VisionTransformer": (
        'convnext',
        {'timm_model_name': 'test_vit', 'timm_pool': 'token'},
    ),
    "its result is pooled by 'max'": ('convnext', {'timm_pool': 'max'}),
    "its result is pooled by 'attention'": (
        'convnext',
        {'timm_pool': 'rot_attn', 'timm_proj': ''},
    ),
}


@pytest.mark.parametrize('problem', REFUSED)
def test_refuses_towers_without_a_map(problem, build_clip):
    kind, vision = REFUSED[problem]
    clip = build_clip(kind, **vision)
    message = (
        f'cannot use the image tower of {clip.model_name}: {problem}; it '
        'needs a ResNet of open_clip or a ConvNeXt'
    )

    with pytest.raises(TypeError, match=message):
        MaskPoolClassifier().check(clip)
    with pytest.raises(TypeError, match=message):
        MaskPoolClassifier()(
            clip, images_of(1, 3, 32, 32), torch.zeros(1, 1, 8, 8)
        )


def test_one_line_selects_it(
    tiny_model_config, build_tiny_model, make_sample, build
):
    clip = build('convnext', 64)
    tiny_model_config.mask_classifier = {
        'type': 'freeseg_mm.MaskPoolClassifier'
    }
    tiny_model_config.clip.update(model=clip.model_name, pretrained='random')
    model = build_tiny_model().eval()

    samples = model.predict(torch.randn(1, 3, 64, 64), [make_sample()])

    assert isinstance(model.mask_classifier, MaskPoolClassifier)
    assert samples[0].pred_sem_seg.sem_seg.shape == (1, 64, 64)


# ---- FC-CLIP's way: binary ----


def binary_masks():
    """A whole cell, a third of one, and what a cell's middle does not see."""
    logits = torch.full((1, 3, 12, 12), -9.0)
    logits[0, 0, :4, :4] = 9.0
    logits[0, 1, :4, :] = 9.0
    logits[0, 2, 0, 0] = 9.0
    return logits


def test_binary_average_by_hand(build):
    clip = build('convnext')
    visual = clip.clip.visual
    images = images_of(1, 3, 96, 96)

    embeds, valid = MaskPoolClassifier(pooling='binary')(
        clip, images, binary_masks()
    )

    assert valid.all()
    with torch.no_grad():
        cells = visual.trunk.forward_features(clip.normalize(images))[0]
        pooled = [cells[:, 0, 0], cells[:, 0].mean(-1), torch.zeros(64)]
        expected = visual.head(
            visual.trunk.head.norm(
                torch.stack(pooled)[..., None, None]
            ).flatten(1)
        )
    assert_close(embeds[0], F.normalize(expected, dim=-1))


@torch.no_grad()
def test_binary_attention_equals_pytorchs(build_clip):
    """One query, the mean of all cells; cells outside a mask are blocked."""
    clip = build_clip('resnet', image_size=64)  # positions are 2 x 2
    visual = clip.clip.visual
    images = images_of(2, 3, 96, 96)
    masks = binary_masks().expand(2, -1, -1, -1)

    embeds, valid = MaskPoolClassifier(pooling='binary')(clip, images, masks)

    assert valid.tolist() == [[True, True, False]] * 2
    assert (embeds[:, 2] == 0).all()
    pool = visual.attnpool
    first, plane = pool.positional_embedding.split([1, 4])
    plane = F.interpolate(
        plane.T.view(1, -1, 2, 2), (3, 3), mode='bilinear'
    ).flatten(2)
    x = clip.normalize(images)
    for part in ('stem', 'layer1', 'layer2', 'layer3', 'layer4'):
        x = getattr(visual, part)(x)
    cells = x.flatten(2).permute(2, 0, 1)
    keys = cells + plane.permute(2, 0, 1)
    inside = torch.zeros(2, 9, dtype=torch.bool)
    inside[0, 0] = inside[1, :3] = True
    pooled, _ = F.multi_head_attention_forward(
        (cells.mean(0, keepdim=True) + first).repeat(2, 1, 1),
        keys,
        keys,
        pool.c_proj.in_features,
        pool.num_heads,
        None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        None,
        None,
        False,
        0.0,
        pool.c_proj.weight,
        pool.c_proj.bias,
        need_weights=False,
        attn_mask=~inside,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
    )
    expected = F.normalize(pooled.transpose(0, 1), dim=-1)
    assert_close(embeds[:, :2], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', ['resnet', 'convnext'])
def test_binary_without_any_mask_is_finite(kind, build):
    embeds, valid = MaskPoolClassifier(pooling='binary')(
        build(kind), images_of(1, 3, 96, 96), torch.full((1, 2, 24, 24), -9.0)
    )
    assert embeds.isfinite().all()
    assert valid.tolist() == [[kind == 'convnext'] * 2]


@pytest.mark.parametrize('name', ['pooling', 'source'])
def test_unknown_ways_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} 'no' is none of"):
        MaskPoolClassifier(**{name: 'no'})
