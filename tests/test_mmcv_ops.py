"""The compiled ops of mmcv, held to torchvision, PyTorch and geometry.

However they were compiled: `tools/install_mmcv.py` joins the files.
"""

import math

import pytest
import torch
import torchvision
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import (
    multi_scale_deformable_attn_pytorch,
)
from torch.testing import assert_close


def random_boxes(count, size=100.0):
    """Corners (count, 4) of boxes that overlap a good deal."""
    corner, extent = torch.rand(2, count, 2)
    return torch.cat([corner, corner + extent / 2 + 0.01], 1) * size


def with_gradients(function, *inputs):
    """Result of a function, and the gradients of its inputs."""
    inputs = [each.clone().requires_grad_() for each in inputs]
    result = function(*inputs)
    weights = torch.linspace(-1, 1, result.numel()).view_as(result)
    return [result.detach(), *torch.autograd.grad(result, inputs, weights)]


@pytest.mark.parametrize('threshold', [0.2, 0.5])
def test_nms(threshold):
    boxes, scores = random_boxes(300), torch.rand(300)
    kept, index = ops.nms(boxes, scores, threshold)
    assert 10 < len(index) < 290
    assert_close(index, torchvision.ops.nms(boxes, scores, threshold))
    assert_close(kept, torch.cat([boxes, scores[:, None]], 1)[index])


def test_batched_nms():
    boxes, scores = random_boxes(300), torch.rand(300)
    classes = torch.randint(5, (300,))
    _, index = ops.batched_nms(
        boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.3}
    )
    expected = torchvision.ops.batched_nms(boxes, scores, classes, 0.3)
    assert_close(index, expected)


# The second box overlaps the first by a third, the last none.
@pytest.mark.parametrize(
    ('method', 'second'),
    [
        ('linear', 0.8 * (1 - 1 / 3)),
        ('gaussian', 0.8 * math.exp(-((1 / 3) ** 2) / 0.5)),
        ('naive', None),
    ],
)
def test_soft_nms(method, second):
    boxes = [[0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60]]
    kept, index = ops.soft_nms(
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor([0.9, 0.8, 0.3]),
        iou_threshold=0.3,
        sigma=0.5,
        min_score=0.01,
        method=method,
    )
    expected = {0: 0.9, 1: second, 2: 0.3}
    if second is None:
        del expected[1]
    assert dict(zip(index.tolist(), kept[:, 4].tolist(), strict=True)) == (
        pytest.approx(expected, abs=1e-6)
    )


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align(aligned, ratio):
    features = torch.rand(2, 3, 20, 25)
    rois = torch.cat(
        [torch.randint(2, (9, 1)).float(), random_boxes(9, 60.0)], 1
    )
    expected = with_gradients(
        lambda values: torchvision.ops.roi_align(
            values, rois, (5, 7), 0.4, ratio or -1, aligned
        ),
        features,
    )
    found = with_gradients(
        lambda values: ops.roi_align(
            values, rois, (5, 7), 0.4, ratio, 'avg', aligned
        ),
        features,
    )
    assert_close(found, expected)


@pytest.mark.parametrize('clockwise', [True, False])
def test_roi_align_rotated(clockwise):
    """Rotation by 0 is none, that by 90 degrees turns the result."""
    features = torch.rand(1, 3, 20, 20)
    upright = torch.tensor([[0.0, 6, 5, 14, 13]])
    (expected,) = ops.roi_align(features, upright, (4, 4), 1.0, 2, 'avg', True)
    for turns in range(4):
        roi = torch.tensor([[0.0, 10, 9, 8, 8, turns * math.pi / 2]])
        (found,) = ops.roi_align_rotated(
            features, roi, (4, 4), 1.0, 2, True, clockwise
        )
        # Where the region turns clockwise, what is seen in it turns back.
        back = turns if clockwise else -turns
        assert_close(found, expected.rot90(back, (1, 2)), atol=1e-5, rtol=0)


def test_box_iou_rotated():
    octagon = 8 * (math.sqrt(2) - 1)  # of two squares of side 2, area 4
    squares = torch.tensor(
        [
            [0, 0, 2, 2, 0],
            [0, 0, 2, 2, math.pi / 4],
            [1, 0, 2, 2, 0],
            [9, 9, 2, 2, 1],
        ]
    )
    expected = [[1, octagon / (8 - octagon), 1 / 3, 0]]
    found = ops.box_iou_rotated(squares[:1], squares)
    assert_close(found, torch.tensor(expected))


def test_nms_rotated():
    boxes = torch.tensor(
        [
            [0, 0, 2, 2, 0],
            [0, 0, 2, 2, math.pi / 4],
            [1, 0, 2, 2, 0],
            [9, 9, 2, 2, 1],
        ]
    )
    scores = torch.tensor([0.6, 0.9, 0.5, 0.1])
    _, index = ops.nms_rotated(boxes, scores, 0.5)
    assert index.tolist() == [1, 2, 3]


@pytest.mark.parametrize('mode', ['iou', 'iof'])
def test_bbox_overlaps(mode):
    first, second = random_boxes(20), random_boxes(30)
    corners = torch.maximum(first[:, None, :2], second[None, :, :2])
    ends = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    both = (ends - corners).clamp(min=0).prod(2)
    expected = both / torchvision.ops.box_area(first)[:, None]
    if mode == 'iou':
        expected = torchvision.ops.box_iou(first, second)
    assert_close(ops.bbox_overlaps(first, second, mode), expected)


@pytest.mark.parametrize('modulated', [False, True])
def test_deformable_convolution(modulated):
    inputs = [
        torch.rand(2, 4, 9, 11),
        torch.rand(2, 2 * 9, 9, 11) * 4 - 2,
        torch.rand(6, 4, 3, 3),
    ]
    if modulated:
        inputs.append(torch.rand(2, 9, 9, 11))

    def expected(values, offset, weight, mask=None):
        return torchvision.ops.deform_conv2d(
            values, offset, weight, padding=1, mask=mask
        )

    def found(values, offset, weight, mask=None):
        if mask is None:
            return ops.deform_conv2d(values, offset, weight, 1, 1)
        return ops.modulated_deform_conv2d(
            values, offset, mask, weight, torch.zeros(6), 1, 1
        )

    assert_close(
        with_gradients(found, *inputs),
        with_gradients(expected, *inputs),
        atol=1e-4,
        rtol=1e-4,
    )


def attention_inputs(device):
    """Values, sizes, first positions, locations and weights."""
    sizes = torch.tensor([[6, 4], [3, 2]])
    values = torch.rand(2, 30, 4, 8)
    locations = torch.rand(2, 5, 4, 2, 3, 2)
    weights = torch.rand(2, 5, 4, 2, 3)
    weights /= weights.sum((3, 4), keepdim=True)
    first = torch.tensor([0, 24])
    return [
        each.to(device) for each in (values, sizes, first, locations, weights)
    ]


def test_multi_scale_deformable_attention_on_constant_values():
    """The weights add up to one, so it gives the constant, padding aside."""
    module = ops.MultiScaleDeformableAttention(
        32, num_heads=4, num_levels=2, num_points=3, batch_first=True
    )
    torch.nn.init.zeros_(module.sampling_offsets.bias)
    torch.nn.init.eye_(module.value_proj.weight)
    torch.nn.init.eye_(module.output_proj.weight)
    values, sizes, first, _, _ = attention_inputs('cpu')
    query = torch.rand(2, 5, 32)
    result = module.eval()(
        query,
        value=torch.ones_like(values).flatten(2) * 0.7,
        reference_points=torch.full((2, 5, 2, 2), 0.5),
        spatial_shapes=sizes,
        level_start_index=first,
    )
    assert_close(result - query, torch.full_like(query, 0.7))


@pytest.mark.gpu
def test_multi_scale_deformable_attention_on_a_gpu():
    values, sizes, first, locations, weights = attention_inputs('cuda')
    assert_close(
        ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply(
            values, sizes, first, locations, weights, 64
        ),
        multi_scale_deformable_attn_pytorch(values, sizes, locations, weights),
        atol=1e-5,
        rtol=1e-4,
    )
