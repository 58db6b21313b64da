"""Faster ways to run a network keep its results."""

from copy import deepcopy

import pytest
import torch
from torch.testing import assert_close


@pytest.fixture
def predict(build_tiny_model, tiny_model_config, make_sample):
    """Results and inner scores of two images under some switches."""
    # milder scores than CLIP's, as trained weights have
    tiny_model_config.panoptic_head.classifier.temperature = 5.0
    tiny_model_config.test_cfg.update(
        object_score_thr=0.1, overlap_thr=0.1, min_object_prob=0.0
    )
    torch.manual_seed(3)
    images, weights = torch.randn(2, 3, 64, 64), {}
    samples = [make_sample(img_id=1), make_sample(img_id=2)]

    def run(**switches):
        tiny_model_config.acceleration = switches
        model = build_tiny_model(tiny_model_config).eval()
        # random weights depend on how they lie in memory
        model.load_state_dict(weights.setdefault('all', model.state_dict()))
        probs = []
        head_predict = model.panoptic_fusion_head.predict

        def watched(class_probs, *arguments):
            probs.append(class_probs)
            return head_predict(class_probs, *arguments)

        model.panoptic_fusion_head.predict = watched
        return model.predict(images, deepcopy(samples)), probs[0], model

    return run


def agreement(one, other):
    """Least share of pixels with the same label, over images and maps."""
    return min(
        (a == b).float().mean().item()
        for x, y in zip(one, other, strict=True)
        for a, b in (
            (x.pred_sem_seg.sem_seg, y.pred_sem_seg.sem_seg),
            (
                x.pred_panoptic_seg.sem_seg % 1000,
                y.pred_panoptic_seg.sem_seg % 1000,
            ),
        )
    )


def test_channels_last_changes_next_to_nothing(predict):
    plain, plain_probs, _ = predict()
    fast, probs, model = predict(channels_last=True)

    weight = model.backbone.conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert_close(probs, plain_probs, rtol=1e-3, atol=1e-5)
    assert agreement(plain, fast) > 0.999


def test_channels_last_reaches_the_backbone(predict, monkeypatch):
    from mmdet.models import ResNet

    layouts = []
    forward = ResNet.forward

    def watched(self, images):
        layouts.append(images.is_contiguous(memory_format=torch.channels_last))
        return forward(self, images)

    monkeypatch.setattr(ResNet, 'forward', watched)
    predict()
    predict(channels_last=True)

    assert layouts == [False, True]


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_half_precision_stays_near(predict, precision):
    plain, plain_probs, _ = predict()
    fast, probs, _ = predict(precision=precision)

    assert probs.dtype == torch.float32
    assert not torch.equal(probs, plain_probs)
    # The maps of random weights hang by a thread: all masks are equally
    # poor. docs/reports/benchmarks.md says how far those of trained ones move.
    assert_close(probs, plain_probs, rtol=0, atol=0.05)
    for one, other in zip(plain, fast, strict=True):
        best = [x.pred_instances.scores[:10] for x in (one, other)]
        assert_close(*best, rtol=0.1, atol=0.01)


def test_compiling_changes_next_to_nothing(predict, monkeypatch):
    compiled = []
    compile_ = torch.nn.Module.compile

    def eagerly(self):
        # the real compiler takes a minute for each
        compiled.append(type(self).__name__)
        compile_(self, backend='aot_eager')

    monkeypatch.setattr(torch.nn.Module, 'compile', eagerly)
    plain, plain_probs, _ = predict()
    fast, probs, model = predict(compile=True)

    assert compiled == ['ResNet', 'VisionTransformer']
    assert_close(probs, plain_probs, rtol=1e-3, atol=1e-5)
    assert agreement(plain, fast) > 0.999
    # a checkpoint does not tell
    assert not [key for key in model.state_dict() if '_orig_mod' in key]


def test_unknown_precision(predict):
    with pytest.raises(ValueError, match=r"'half' is none of \['float32'"):
        predict(precision='half')
