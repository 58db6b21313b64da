from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from freeseg_mm.analysis.cost.probes import HostSyncCounter
from freeseg_mm.models.clip import PADDING_LOGIT, MaskTokenClassifier
from freeseg_mm.models.clip.one_pass_classifier import Regions
from freeseg_mm.registry import MODELS

# every kind of ViT that can have mask tokens, 32 pixels, patches of 8
TOWERS = {
    'plain': {},
    'quickgelu': {'config': {'quick_gelu': True}},
    'no_ln_pre': {'no_ln_pre': True},
    'layer_scale': {'ls_init_value': 0.3},
    'patch_dropout': {'patch_dropout': 0.5},
    'ln_after_pool': {'final_ln_after_pool': True},
    'sine_positions': {'pos_embed_type': 'sin_cos_2d'},
}


def images_of(*shape):
    return torch.rand(*shape) * 255


def through_open_clip(clip, images, coverage):
    """Run all tokens through open_clip's blocks, one big mask over them.

    Args:
        clip: The FrozenCLIP.
        images: RGB of the tower's own size, (B, 3, H, W).
        coverage: Share of each patch that masks cover, (B, M, L).
    """
    visual = clip.clip.visual
    x = visual._embeds(clip.normalize(images))
    batch, length = x.shape[:2]
    masks = coverage.shape[1]
    x = torch.cat([x, x[:, :1].repeat(1, masks, 1)], 1)
    total = length + masks
    attention = torch.full((batch, total, total), -torch.inf)
    attention[:, :length, :length] = 0
    attention[:, length:, 1:length] = coverage.log()
    for token in range(length, total):
        attention[:, token, token] = 0
    heads = visual.transformer.resblocks[0].attn.num_heads
    x = visual.transformer(x, attention.repeat_interleave(heads, 0))
    return F.normalize(visual.ln_post(x[:, length:]) @ visual.proj, dim=-1)


@pytest.mark.parametrize('tower', TOWERS)
def test_full_mask_has_clips_own_embedding(tower, build_clip):
    clip = build_clip(**TOWERS[tower])
    images = images_of(2, 3, 32, 32)

    embeds, valid = MaskTokenClassifier(image_size=32)(
        clip, images, torch.full((2, 3, 8, 8), 9.0)
    )

    expected = clip.encode_images(clip.normalize(images))
    assert embeds.shape == (2, 3, 16)
    assert valid.all()
    for token in range(3):
        assert_close(embeds[:, token], expected, rtol=1e-5, atol=1e-5)
    assert (expected[0] - expected[1]).norm() > 0.1  # says something


@pytest.mark.parametrize('tower', TOWERS)
def test_equals_open_clips_blocks_under_one_big_mask(tower, build_clip):
    clip = build_clip(**TOWERS[tower])
    images = images_of(2, 3, 32, 32)
    logits = 3 * torch.randn(2, 5, 16, 16)

    embeds, _ = MaskTokenClassifier(image_size=32)(clip, images, logits)

    coverage = F.avg_pool2d((logits > 0).float(), 4).flatten(2)
    expected = through_open_clip(clip, images, coverage)
    assert_close(embeds, expected, rtol=1e-5, atol=1e-5)
    assert (embeds[:, 0] - embeds[:, 1]).norm() > 0.1


def test_patches_and_class_token_stay_clips_own(build_clip):
    clip = build_clip()
    images = images_of(2, 3, 32, 32)
    seen = []
    block = clip.clip.visual.transformer.resblocks[-1]
    hook = block.ln_2.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].clone())
    )

    MaskTokenClassifier(image_size=32)(clip, images, torch.randn(2, 4, 8, 8))
    clip.encode_images(clip.normalize(images))
    hook.remove()

    with_masks, plain = seen
    assert with_masks.shape[1] == 17 + 4
    assert_close(with_masks[:, :17], plain, rtol=1e-5, atol=1e-5)


def test_one_layer_sees_nothing_beyond_the_mask(build_clip, rectangle):
    # with more layers, the patches themselves have seen each other
    logits = rectangle((16, 16), (4, 12), (0, 8))[None, None]
    images = images_of(1, 3, 32, 32)
    changed = images.clone()
    changed[..., :8, :] = 0
    changed[..., 16:] = 255
    changed[..., 24:, :] = 128

    differences = []
    for layers in (1, 2):
        clip = build_clip(layers=layers)
        before, after = (
            MaskTokenClassifier(image_size=32)(clip, x, logits)[0]
            for x in (images, changed)
        )
        differences.append((before - after).abs().max().item())

    assert differences[0] < 1e-6
    assert differences[1] > 1e-2


def test_one_layer_sees_what_is_inside(build_clip, rectangle):
    logits = rectangle((16, 16), (4, 12), (0, 8))[None, None]
    images = images_of(1, 3, 32, 32)
    changed = images.clone()
    changed[..., 8:24, :16] = 255

    before, after = (
        MaskTokenClassifier(image_size=32)(build_clip(layers=1), x, logits)[0]
        for x in (images, changed)
    )

    assert (before - after).abs().max() > 1e-2


def test_mask_smaller_than_a_patch_is_that_patch(build_clip, rectangle):
    clip = build_clip()
    images = images_of(1, 3, 32, 32)
    pixel = rectangle((32, 32), (9, 10), (18, 19))
    patch = rectangle((32, 32), (8, 16), (16, 24))

    embeds, valid = MaskTokenClassifier(image_size=32)(
        clip, images, torch.stack([pixel, patch])[None]
    )

    assert valid.all()
    assert_close(embeds[:, 0], embeds[:, 1])
    expected = through_open_clip(
        clip, images, F.one_hot(torch.tensor([[6]]), 16)
    )
    assert_close(embeds[:, :1], expected, rtol=1e-5, atol=1e-5)


def test_each_mask_is_alone(build_clip):
    clip = build_clip()
    images = images_of(2, 3, 32, 32)
    logits = torch.randn(2, 6, 8, 8)
    order = torch.tensor([3, 0, 5, 1, 3, 2])
    classify = MaskTokenClassifier(image_size=32)

    embeds, valid = classify(clip, images, logits)
    shuffled, shuffled_valid = classify(clip, images, logits[:, order])
    single, _ = classify(clip, images[1:], logits[1:, 4:5])

    assert_close(shuffled, embeds[:, order])
    assert torch.equal(shuffled_valid, valid[:, order])
    assert_close(shuffled[:, 0], shuffled[:, 4])
    assert_close(single[0, 0], embeds[1, 4])


@pytest.mark.parametrize(
    ('image_size', 'expected'),
    [(None, (48, 72)), (64, (64, 96)), ((16, 24), (16, 24)), ([40, 8],) * 2],
)
def test_shows_images_at_the_asked_size(image_size, expected, build_clip):
    clip = build_clip()
    sizes = []
    hook = clip.clip.visual.conv1.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:]))
    )

    embeds, valid = MaskTokenClassifier(image_size=image_size)(
        clip, images_of(1, 3, 80, 120), torch.randn(1, 2, 20, 30)
    )
    hook.remove()

    assert sizes == [tuple(expected)]  # and once only
    assert valid.all()
    assert_close(embeds.norm(dim=-1), torch.ones(1, 2))


def test_other_size_equals_open_clips_model_of_that_size(build_clip):
    small, large = build_clip(), build_clip(image_size=64)
    large = deepcopy(large)
    from open_clip.model import resize_pos_embed

    state = small.clip.state_dict()
    resize_pos_embed(state, large.clip)
    large.clip.load_state_dict(state)
    images = images_of(1, 3, 64, 64)

    embeds, _ = MaskTokenClassifier(image_size=64)(
        small, images, torch.full((1, 1, 16, 16), 9.0)
    )

    expected = large.encode_images(large.normalize(images))
    assert_close(embeds[0], expected, rtol=1e-5, atol=1e-5)


def test_one_pass_whatever_the_masks(build_clip):
    clip = build_clip()
    passes = []
    hook = clip.clip.visual.conv1.register_forward_hook(
        lambda *_: passes.append(1)
    )
    for num_masks in (0, 1, 40):
        MaskTokenClassifier(image_size=32)(
            clip, images_of(3, 3, 32, 32), torch.randn(3, num_masks, 8, 8)
        )
    hook.remove()

    assert len(passes) == 3


def test_empty_masks_are_zero_and_not_valid(build_clip):
    clip = build_clip()
    images = images_of(1, 3, 32, 32)
    logits = torch.randn(1, 4, 8, 8)
    logits[0, 2] = -1.0

    embeds, valid = MaskTokenClassifier(image_size=32)(clip, images, logits)
    others, _ = MaskTokenClassifier(image_size=32)(
        clip, images, logits[:, [0, 1, 3]]
    )

    assert valid.tolist() == [[True, True, False, True]]
    assert not embeds[0, 2].any()
    assert_close(embeds[:, [0, 1, 3]], others)


def test_no_masks_at_all(build_clip):
    embeds, valid = MaskTokenClassifier(image_size=32)(
        build_clip(), images_of(2, 3, 32, 32), torch.zeros(2, 0, 8, 8)
    )

    assert embeds.shape == (2, 0, 16)
    assert valid.shape == (2, 0)


def test_padding_is_not_looked_at(build_clip):
    clip = build_clip()
    classify = MaskTokenClassifier(image_size=(32, 48))
    images = images_of(1, 3, 32, 48)
    logits = torch.randn(1, 3, 8, 12)
    logits[..., 8:] = PADDING_LOGIT  # the last two columns of patches
    other = images.clone()
    other[..., 32:] = 0

    embeds, _ = classify(clip, images, logits)

    assert_close(classify(clip, other, logits)[0], embeds)
    # the image alone differs by the positions it is given, not by content
    full = torch.full((1, 1, 8, 12), 9.0)
    full[..., 8:] = PADDING_LOGIT
    clip_without_positions = deepcopy(clip)
    clip_without_positions.clip.visual.positional_embedding.zero_()
    padded = classify(clip_without_positions, images, full)[0][0]
    alone = clip_without_positions.encode_images(
        clip.normalize(images[..., :32])
    )
    assert_close(padded, alone, rtol=1e-5, atol=1e-5)


def test_threshold_decides_what_is_inside(build_clip):
    clip, images = build_clip(), images_of(1, 3, 32, 32)
    logits = torch.tensor([0.6, 0.7, 0.8, 0.9]).logit().expand(1, 1, 4, 4)
    at_75 = torch.where(logits > torch.tensor(0.75).logit(), 9.0, -9.0)

    embeds, _ = MaskTokenClassifier(image_size=32, mask_thr=0.75)(
        clip, images, logits
    )

    assert_close(
        embeds, MaskTokenClassifier(image_size=32)(clip, images, at_75)[0]
    )
    assert not MaskTokenClassifier(image_size=32, mask_thr=0.95)(
        clip, images, logits
    )[1].any()


def test_gives_no_gradient(build_clip):
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    images = images_of(1, 3, 32, 32).requires_grad_()

    embeds, _ = MaskTokenClassifier(image_size=32)(
        build_clip(), images, logits
    )

    assert not embeds.requires_grad


@pytest.mark.parametrize('way', ['weights', 'autocast'])
def test_half_precision_is_close(way, build_clip):
    clip = build_clip()
    images, logits = images_of(1, 3, 48, 40), torch.randn(1, 4, 12, 10)
    classify = MaskTokenClassifier(image_size=32)
    expected, _ = classify(clip, images, logits)
    dtypes = []
    if way == 'weights':
        clip = deepcopy(clip)
        clip.clip.visual.bfloat16()
    hook = clip.clip.visual.transformer.resblocks[0].mlp.register_forward_hook(
        lambda _, inputs, output: dtypes.append(output.dtype)
    )

    with torch.autocast('cpu', torch.bfloat16, enabled=way == 'autocast'):
        embeds, _ = classify(clip, images, logits)
    hook.remove()

    assert dtypes == [torch.bfloat16]
    assert embeds.dtype == torch.float32
    # bfloat16 has 8 bits; two layers and a projection
    assert (F.cosine_similarity(embeds, expected, -1) > 0.99).all()


def test_does_not_wait_for_the_device(build_clip):
    images, logits = images_of(2, 3, 48, 40), torch.randn(2, 4, 12, 10)
    clip = build_clip()

    with HostSyncCounter(torch.device('cpu')) as counter:
        MaskTokenClassifier()(clip, images, logits)

    assert counter.by_kind == {}


@pytest.mark.gpu
def test_equals_itself_on_a_gpu(build_clip):
    clip = deepcopy(build_clip())
    images, logits = images_of(2, 3, 48, 40), torch.randn(2, 4, 12, 10)
    expected, _ = MaskTokenClassifier()(clip, images, logits)
    clip.cuda()
    images, logits = images.cuda(), logits.cuda()

    torch.cuda.set_sync_debug_mode('error')
    try:
        embeds, _ = MaskTokenClassifier()(clip, images, logits)
    finally:
        torch.cuda.set_sync_debug_mode('default')

    assert_close(embeds.cpu(), expected, rtol=1e-3, atol=1e-3)  # TF32


REFUSED = {
    'it is a ModifiedResNet': ('resnet', {}),
    'it is a TimmModel': ('convnext', {}),
    'its result is pooled by attention': ('vit', {'attentional_pool': True}),
    "its result is pooled by 'avg'": ('vit', {'pool_type': 'avg'}),
    'it has blocks of type CustomResidualAttentionBlock': (
        'vit',
        {'qk_norm': True},
    ),
}


@pytest.mark.parametrize('problem', REFUSED)
def test_refuses_towers_without_a_class_token(problem, build_clip):
    kind, vision = REFUSED[problem]
    clip = build_clip(kind, **vision)
    message = (
        f'cannot use the image tower of {clip.model_name}: {problem}; it '
        'needs a vision transformer whose class token is the result'
    )

    with pytest.raises(TypeError, match=message):
        MaskTokenClassifier().check(clip)
    with pytest.raises(TypeError, match=message):
        MaskTokenClassifier(image_size=32)(
            clip, images_of(1, 3, 32, 32), torch.zeros(1, 1, 8, 8)
        )


def test_refuses_patches_that_are_not_square(build_clip):
    clip = deepcopy(build_clip())
    clip.clip.visual.patch_size = (8, 4)

    with pytest.raises(TypeError, match='its patches are 8 x 4, not square'):
        MaskTokenClassifier().check(clip)


def test_checks_its_arguments():
    with pytest.raises(ValueError, match='expected 0 < mask_thr < 1, got 1'):
        MaskTokenClassifier(image_size=32, mask_thr=1)
    with pytest.raises(ValueError, match='expected a positive image_size'):
        MaskTokenClassifier(image_size=0)


def test_one_line_selects_it(tiny_model_config, build_tiny_model, make_sample):
    tiny_model_config.mask_classifier = {
        'type': 'freeseg_mm.MaskTokenClassifier'
    }
    model = build_tiny_model().eval()

    samples = model.predict(torch.randn(1, 3, 64, 64), [make_sample()])

    assert isinstance(model.mask_classifier, MaskTokenClassifier)
    assert samples[0].pred_sem_seg.sem_seg.shape == (1, 64, 64)


def test_is_registered():
    config = {'type': 'freeseg_mm.MaskTokenClassifier', 'image_size': 320}

    assert MODELS.build(config).image_size == 320


def test_bias_is_of_the_towers_grid(build_clip, monkeypatch):
    grids = []
    original = Regions.from_logits.__func__

    def spy(cls, mask_logits, grid, threshold):
        grids.append(grid)
        return original(cls, mask_logits, grid, threshold)

    monkeypatch.setattr(Regions, 'from_logits', classmethod(spy))

    MaskTokenClassifier(image_size=(24, 56))(
        build_clip(), images_of(1, 3, 32, 32), torch.zeros(1, 1, 8, 8)
    )

    assert grids == [(3, 7)]
