import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from freeseg_mm.models import CropMaskClassifier
from freeseg_mm.models.clip.crop_mask_classifier import unit_boxes


class Camera:
    """Stands in for CLIP: keeps the crops; an embedding is a crop's mean."""

    embed_dim = 3

    def __init__(self, image_size=(4, 4)):
        self.image_size = image_size
        self.batches = []

    def normalize(self, images):
        return images

    def encode_images(self, crops):
        self.batches.append(crops)
        return crops.mean((2, 3))

    @property
    def crops(self):
        return torch.cat(self.batches)


def mask_logits(*masks):
    """Logits +9 inside and -9 outside of masks written as text."""
    rows = [
        [[9.0 if cell == '1' else -9.0 for cell in row] for row in m.split()]
        for m in masks
    ]
    return torch.tensor(rows)[None]


# Every pixel has its own value, no two neighbours on one line.
CHECKER = (torch.arange(3 * 8 * 8).view(1, 3, 8, 8) * 37 % 256).float() + 1.0


def test_unit_boxes_by_hand():
    masks = torch.zeros(3, 4, 6, dtype=torch.bool)
    masks[0, 1, 2:4] = True
    masks[1, 0, 0] = masks[1, 3, 5] = True
    masks[2, 2:, 5] = True

    boxes = unit_boxes(masks)

    expected = [
        [2 / 6, 1 / 4, 4 / 6, 2 / 4],
        [0, 0, 1, 1],
        [5 / 6, 2 / 4, 1, 1],
    ]
    assert boxes.dtype == torch.float32
    assert_close(boxes, torch.tensor(expected))


def test_full_size_crop_is_blanked_pixel_by_pixel():
    logits = mask_logits(
        '00000000 00000000 00001110 00001110 00001111 00000001 00000000 '
        '00000000',
        '00000000 ' * 8,
        '11000000 01000000 ' + '00000000 ' * 6,
    )
    camera = Camera()

    embeds, valid = CropMaskClassifier(full_size=True)(camera, CHECKER, logits)

    assert valid.tolist() == [[True, False, True]]
    # a box of 4 x 4 is the crop itself, corners being aligned
    inside = torch.tensor(
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]]
    )
    expected = CHECKER[:, :, 2:6, 4:8] * inside
    assert_close(camera.crops[:1], expected)
    assert_close(embeds[0, 0], expected[0].mean((1, 2)))
    # that of 2 x 2 is stretched: its corners are in the corners
    corners = camera.crops[1, :, ::3, ::3]
    assert_close(corners[:, 0], CHECKER[0, :, 0, :2])
    assert_close(corners[:, 1, 0], torch.zeros(3), rtol=0, atol=1e-4)
    assert_close(corners[:, 1, 1], CHECKER[0, :, 1, 1])
    # a third of the way, by the cubic of a = -0.75: taps are a, a, b, b
    x = 1 / 3
    taps = [-0.75 * (y**3 - 5 * y**2 + 8 * y - 4) for y in (1 + x, 2 - x)]
    near, far = (1.25 * y**3 - 2.25 * y**2 + 1 for y in (x, 1 - x))
    first, second = CHECKER[0, :, 0, 0], CHECKER[0, :, 0, 1]
    assert_close(
        camera.crops[1, :, 0, 1],
        (taps[0] + near) * first + (far + taps[1]) * second,
    )


def test_full_size_needs_masks_of_the_images_size():
    with pytest.raises(ValueError, match=r'size of the images, \(8, 8\), got'):
        CropMaskClassifier(full_size=True)(
            Camera(), CHECKER, torch.ones(1, 1, 2, 2)
        )


def test_crop_is_the_box_with_the_outside_blanked():
    logits = mask_logits(
        '00000000 00000000 00001110 00001110 00001111 00000001 00000000 '
        '00000000'
    )
    camera = Camera()

    embeds, valid = CropMaskClassifier()(camera, CHECKER, logits)

    # of the blocks of four pixels one is half inside, twice, and one for
    # three quarters
    inside = torch.tensor(
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    )
    expected = CHECKER[:, :, 2:6, 4:8] * inside
    assert_close(camera.crops, expected)
    assert_close(embeds[0], expected.mean((2, 3)))
    assert valid.tolist() == [[True]]


def test_box_is_stretched_to_the_size_by_hand():
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    logits = mask_logits(' '.join(['00110000'] * 4 + ['00000000'] * 4))
    camera = Camera(image_size=(2, 4))

    CropMaskClassifier()(camera, ramp, logits)

    # columns 2 and 3 (edges 2.0 to 4.0) seen by four cells: centres at 2.25,
    # 2.75, 3.25, 3.75 from the left edge of the image; pixel k's centre is
    # at k + 0.5 and the ramp is k there
    expected = torch.tensor([1.75, 2.25, 2.75, 3.25])
    assert_close(camera.crops, expected.expand(1, 3, 2, 4))


def test_coarse_mask_is_interpolated_between_its_cells():
    # the mask is at a quarter of the image's resolution, box: right half
    logits = torch.tensor([[[[-30.0, 20.0], [-30.0, -30.0]]]])
    camera = Camera()

    CropMaskClassifier()(camera, CHECKER, logits)

    # Centres of the crop's 2 x 2 blocks in cells of the mask, from the first
    # cell's centre: 0.75, then beyond the last; along a row -30 + 50 x: 7.5,
    # 20. The rows' centres are -0.25 (as the first row) and 0.25: there
    # v - (v + 30) / 4 gives -1.875, 7.5.
    inside = torch.tensor(
        [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    )
    assert_close(camera.crops, CHECKER[:, :, 0:4, 4:8] * inside)


def test_equals_pils_crop_of_smooth_images():
    rows, columns = np.mgrid[0:32, 0:48]
    picture = np.stack([rows * 5 + columns, columns * 4, 200 - rows * 3], -1)
    picture = picture.astype(np.uint8)
    logits = torch.full((1, 2, 32, 48), -9.0)
    boxes = [(3, 5, 19, 29), (20, 2, 41, 9)]  # left, top, right, bottom
    for logit, (left, top, right, bottom) in zip(
        logits[0], boxes, strict=True
    ):
        logit[top:bottom, left:right] = 9.0
    camera = Camera(image_size=(10, 12))

    CropMaskClassifier()(
        camera,
        torch.from_numpy(picture).permute(2, 0, 1)[None].float(),
        logits,
    )

    for crop, box in zip(camera.crops, boxes, strict=True):
        expected = Image.fromarray(picture).transform(
            (12, 10), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
        )
        difference = crop.permute(1, 2, 0).numpy() - np.asarray(expected)
        assert abs(difference).max() <= 1.0  # PIL rounds to whole levels


def bilinear(plane, y, x):
    """Value of a plane at pixel coordinates, its border continued."""
    height, width = plane.shape
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    dy, dx = y - y0, x - x0
    upper = plane[y0, x0] * (1 - dx) + plane[y0, x1] * dx
    lower = plane[y1, x0] * (1 - dx) + plane[y1, x1] * dx
    return upper * (1 - dy) + lower * dy


def naive_crop(image, logits, size, threshold):
    """One crop, pixel by pixel."""
    where = np.argwhere(logits > threshold)
    (top, left), (bottom, right) = where.min(0), where.max(0) + 1
    top, bottom = top / logits.shape[0], bottom / logits.shape[0]
    left, right = left / logits.shape[1], right / logits.shape[1]
    crop = np.zeros((3, *size))
    blocks = [-(-length // 2) for length in size]

    def position(i, j, height, width):
        y = top + (i + 0.5) / height * (bottom - top)
        x = left + (j + 0.5) / width * (right - left)
        return y, x

    for i, j in np.ndindex(*size):
        block = [
            k * n // length
            for k, n, length in zip((i, j), blocks, size, strict=True)
        ]
        y, x = position(*block, *blocks)
        h, w = logits.shape
        if bilinear(logits, y * h - 0.5, x * w - 0.5) > threshold:
            y, x = position(i, j, *size)
            h, w = image.shape[1:]
            for channel in range(3):
                crop[channel, i, j] = bilinear(
                    image[channel], y * h - 0.5, x * w - 0.5
                )
    return crop


@pytest.mark.parametrize('threshold', [0.5, 0.7])
def test_equals_a_loop_over_pixels(threshold):
    images = torch.rand(2, 3, 16, 24) * 255
    logits = 3 * torch.randn(2, 3, 4, 6)
    camera = Camera(image_size=(6, 5))

    CropMaskClassifier(mask_thr=threshold)(camera, images, logits)

    expected = [
        naive_crop(
            image.double().numpy(),
            logit.double().numpy(),
            (6, 5),
            math.log(threshold / (1 - threshold)),
        )
        for image, image_logits in zip(images, logits, strict=True)
        for logit in image_logits
    ]
    assert_close(
        camera.crops,
        torch.from_numpy(np.stack(expected)).float(),
        rtol=1e-4,
        atol=1e-2,  # of 255: float32 grids against double
    )


def test_empty_masks_are_zero_and_not_valid():
    logits = torch.cat(
        [
            mask_logits('00 00', '10 00', '00 00'),
            mask_logits('11 11', '00 00', '00 01'),
        ]
    )
    images = torch.rand(2, 3, 8, 8) + 1.0
    camera = Camera()

    embeds, valid = CropMaskClassifier()(camera, images, logits)

    expected = [[False, True, False], [True, False, True]]
    assert valid.tolist() == expected
    assert embeds.any(-1).tolist() == expected
    assert len(camera.crops) == 3
    # each crop is of its own image
    assert_close(embeds[1, 0], images[1].mean((1, 2)), rtol=0.1, atol=0.1)
    assert_close(camera.crops[0], images[0, :, :4, :4] * (camera.crops[0] > 0))


def test_no_mask_at_all_asks_clip_nothing():
    camera = Camera()

    embeds, valid = CropMaskClassifier()(
        camera, CHECKER, torch.full((1, 2, 8, 8), -1.0)
    )

    assert camera.batches == []
    assert not valid.any()
    assert embeds.shape == (1, 2, 3)
    assert not embeds.any()


def test_threshold_decides_what_is_inside():
    # probabilities 0.6, 0.7, 0.8 in the columns
    logits = torch.tensor([0.6, 0.7, 0.8]).logit().expand(1, 1, 3, 3)
    image = torch.ones(1, 3, 3, 3)
    boxes = {0.5: 3, 0.65: 2, 0.75: 1}

    for threshold, columns in boxes.items():
        camera = Camera(image_size=(3, columns))
        CropMaskClassifier(mask_thr=threshold)(camera, image, logits)
        assert_close(camera.crops, torch.ones(1, 3, 3, columns))


def test_chunks_bound_the_batch_and_change_nothing(tiny_clip):
    images = torch.rand(2, 3, 64, 64) * 255
    logits = torch.randn(2, 5, 16, 16)
    batches = []

    class Counter:
        embed_dim, image_size = tiny_clip.embed_dim, tiny_clip.image_size
        normalize = staticmethod(tiny_clip.normalize)

        @staticmethod
        def encode_images(crops):
            batches.append(len(crops))
            return tiny_clip.encode_images(crops)

    whole, valid = CropMaskClassifier()(tiny_clip, images, logits)
    parts, part_valid = CropMaskClassifier(max_crops=3)(
        Counter, images, logits
    )

    assert batches == [3, 3, 3, 1]
    assert_close(parts, whole)
    assert torch.equal(valid, part_valid)


def test_embeds_what_clip_sees(tiny_clip):
    image = torch.rand(1, 3, 64, 64) * 255
    logits = torch.full((1, 1, 64, 64), -9.0)
    logits[..., 16:48, 8:40] = 9.0

    embeds, _ = CropMaskClassifier()(tiny_clip, image, logits)

    crop = tiny_clip.normalize(image[..., 16:48, 8:40])
    assert_close(embeds[0], tiny_clip.encode_images(crop))


def test_padding_of_the_batch_changes_nothing(tiny_clip):
    image = torch.rand(1, 3, 32, 32) * 255
    logits = torch.randn(1, 4, 8, 8)
    padded_image = torch.nn.functional.pad(image, (0, 32, 0, 16))
    padded_logits = torch.nn.functional.pad(logits, (0, 8, 0, 4), value=-1e4)
    # Beside the padding a mask fades out instead of going on.
    for x in (logits, padded_logits):
        x[:, :, 7, :] = x[:, :, :, 7] = -1e4

    embeds, valid = CropMaskClassifier()(tiny_clip, image, logits)
    padded, padded_valid = CropMaskClassifier()(
        tiny_clip, padded_image, padded_logits
    )

    assert torch.equal(valid, padded_valid)
    assert_close(padded, embeds, rtol=1e-3, atol=1e-4)


def test_repeated_crops_are_encoded_once():
    masks = ['0000 0110 0110 0000', '1000 0000 0000 0000']
    logits = mask_logits(*masks, masks[0]).expand(2, -1, -1, -1).clone()
    logits[:, 2] *= 2  # other values, the same crop
    images = torch.rand(2, 3, 4, 4) + 1.0
    camera = Camera(image_size=(2, 2))

    embeds, valid = CropMaskClassifier()(camera, images, logits)

    assert valid.all()
    assert len(camera.crops) == 4  # two of each image
    assert torch.equal(embeds[:, 0], embeds[:, 2])
    for image, embed in zip(images, embeds, strict=True):
        assert_close(embed[0], image[:, 1:3, 1:3].mean((1, 2)))
        assert not torch.equal(embed[0], embed[1])


def test_crops_that_differ_in_a_block_are_both_encoded():
    # one box; a corner belongs to one mask only
    logits = mask_logits('1111 1111 1111 1111', '1111 1111 1100 1100')
    # and crops that are equal, of boxes that are not
    logits = torch.cat(
        [logits, mask_logits('1000 0000 0000 0000', '0100 0000 0000 0000')], 1
    )
    camera = Camera()

    CropMaskClassifier()(camera, CHECKER, logits)

    assert len(camera.crops) == 4


def test_gives_no_gradient(tiny_clip):
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)

    embeds, _ = CropMaskClassifier()(
        tiny_clip, torch.rand(1, 3, 32, 32), logits
    )

    assert not embeds.requires_grad


@pytest.mark.parametrize('threshold', [0.0, 1.0, -0.5])
def test_threshold_outside_of_probabilities(threshold):
    with pytest.raises(
        ValueError, match=f'expected 0 < mask_thr < 1, got {threshold}'
    ):
        CropMaskClassifier(mask_thr=threshold)


def test_chunk_must_hold_a_crop():
    with pytest.raises(ValueError, match='expected max_crops >= 1, got 0'):
        CropMaskClassifier(max_crops=0)
