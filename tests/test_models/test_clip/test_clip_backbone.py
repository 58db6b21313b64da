from copy import deepcopy

import pytest
import torch
from mmdet.models import DetDataPreprocessor
from torch.testing import assert_close

from freeseg_mm.models import CLIPBackbone
from freeseg_mm.models.clip import MaskPoolClassifier

CHANNELS = {'resnet': (32, 64, 128, 256), 'convnext': (24, 32, 48, 64)}


@pytest.fixture
def build(build_clip):
    """A backbone of a kind, on a CLIP of its own."""

    def build_kind(kind, **changes):
        return CLIPBackbone(clip=deepcopy(build_clip(kind)), **changes).eval()

    return build_kind


@pytest.mark.parametrize('kind', CHANNELS)
def test_four_maps_at_their_strides(kind, build):
    maps = build(kind)(torch.randn(2, 3, 64, 96))

    assert [tuple(x.shape) for x in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(
            CHANNELS[kind], (4, 8, 16, 32), strict=True
        )
    ]


@pytest.mark.parametrize('kind', CHANNELS)
@torch.no_grad()
def test_last_map_under_clips_head_is_clips_embedding(kind, build_clip):
    clip = build_clip(kind)
    images = torch.randn(2, 3, *clip.image_size)

    last = CLIPBackbone(clip=clip)(images)[-1]

    visual = clip.clip.visual
    if kind == 'resnet':
        embeds = visual.attnpool(last)
    else:
        embeds = visual.head(visual.trunk.forward_head(last))
    assert_close(embeds, clip.clip.encode_image(images))


@pytest.mark.parametrize('pooling', ['area', 'binary'])
@pytest.mark.parametrize('kind', CHANNELS)
def test_backbones_map_serves_the_mask_classifier(kind, pooling, build_clip):
    clip = build_clip(kind)
    images = 255 * torch.rand(2, 3, 64, 96)
    masks = torch.randn(2, 5, 8, 12)
    last = CLIPBackbone(clip=clip)(clip.normalize(images))[-1]

    again = MaskPoolClassifier(pooling=pooling)(clip, images, masks)
    shared = MaskPoolClassifier(pooling=pooling, source='backbone')(
        clip, last, masks
    )

    for one, other in zip(again, shared, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize('kind', CHANNELS)
def test_frozen_tower_is_in_no_checkpoint_and_learns_nothing(kind, build):
    backbone = build(kind).train()

    assert backbone.state_dict() == {}
    assert list(backbone.parameters()) == []
    assert not backbone(torch.randn(1, 3, 64, 64))[-1].requires_grad


@pytest.mark.parametrize('kind', CHANNELS)
def test_tower_of_its_own_is_saved_trained_and_clips(kind, build_clip):
    clip = deepcopy(build_clip(kind))
    backbone = CLIPBackbone(clip=clip, frozen=False).train()
    images = torch.randn(1, 3, 64, 64)
    before = clip.encode_images(images[..., :32, :32])

    names = set(backbone.state_dict())
    assert names == {f'tower.{x}' for x in clip.clip.visual.state_dict()}
    assert not any(module.training for module in backbone.tower.modules())
    sum(x.sum() for x in backbone(images)).backward()
    for name, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    backbone.load_state_dict(
        {
            name: value.mul(1.5) if value.is_floating_point() else value
            for name, value in backbone.state_dict().items()
        }
    )
    after = clip.encode_images(images[..., :32, :32])
    assert (before - after).norm() > 1e-3


def test_refuses_a_vision_transformer(build_clip):
    with pytest.raises(TypeError, match='it is a VisionTransformer; it needs'):
        CLIPBackbone(clip=build_clip('vit'))


@pytest.mark.parametrize(
    'changes', [{}, {'mean': [123.675, 116.28, 103.53]}, {'bgr_to_rgb': False}]
)
def test_inputs_must_be_clips(changes, build):
    preprocessor = DetDataPreprocessor(
        **{
            'mean': [122.77, 116.75, 104.09],
            'std': [68.5, 66.63, 70.32],
            'bgr_to_rgb': True,
            **changes,
        }
    )
    backbone = build('convnext')
    if changes:
        with pytest.raises(ValueError, match=r'set model\.data_preproc'):
            backbone.check_inputs(preprocessor)
    else:
        backbone.check_inputs(preprocessor)
