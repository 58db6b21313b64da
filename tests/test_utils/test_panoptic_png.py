import numpy as np
import pytest
from PIL import Image

from freeseg_mm.utils.panoptic_png import (
    MAX_ID,
    decode_panoptic_png,
    encode_panoptic_png,
)


def test_red_is_ones_green_256s_blue_65536s(tmp_path):
    rgb = np.array([[[0, 0, 0], [7, 0, 0]], [[1, 2, 0], [1, 2, 3]]], np.uint8)
    Image.fromarray(rgb).save(tmp_path / 'map.png')
    ids = decode_panoptic_png(tmp_path / 'map.png')
    # 1 + 256*2 = 513;  513 + 65536*3 = 197121
    assert ids.tolist() == [[0, 7], [513, 197121]]
    assert ids.dtype == np.int32


def test_encode_writes_red_green_blue(tmp_path):
    encode_panoptic_png(np.array([[197121]]), tmp_path / 'map.png')
    with Image.open(tmp_path / 'map.png') as image:
        assert image.mode == 'RGB'
        assert image.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.int32, np.uint64])
def test_decode_inverts_encode(tmp_path, dtype):
    top = min(MAX_ID, np.iinfo(dtype).max)
    ids = np.random.default_rng(0).integers(0, top + 1, (13, 7)).astype(dtype)
    ids[0, 0], ids[-1, -1] = 0, top
    encode_panoptic_png(ids, tmp_path / 'map.png')
    np.testing.assert_array_equal(
        decode_panoptic_png(str(tmp_path / 'map.png')), ids
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no panoptic PNG .*gone.png'):
        decode_panoptic_png(tmp_path / 'gone.png')


@pytest.mark.parametrize('kept', [0, 5, 20, 60, 0.5, 0.95])
def test_truncated_file_is_named(tmp_path, kept):
    path = tmp_path / 'cut.png'
    noise = np.random.default_rng(0).integers(0, MAX_ID, (32, 32))
    encode_panoptic_png(noise, path)
    content = path.read_bytes()
    cut = int(kept * len(content)) if isinstance(kept, float) else kept
    path.write_bytes(content[:cut])
    with pytest.raises(ValueError, match='cannot decode panoptic PNG .*cut'):
        decode_panoptic_png(path)


def test_flipped_bits_are_noticed(tmp_path):
    path = tmp_path / 'flipped.png'
    rng = np.random.default_rng(0)
    encode_panoptic_png(rng.integers(0, 2000, (16, 16)), path)
    content = path.read_bytes()
    start = content.index(b'IDAT') + 4
    for place in rng.integers(start, len(content) - 20, 50):
        flipped = bytearray(content)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match='cannot decode .*flipped.png'):
            decode_panoptic_png(path)


def test_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / 'text.png'
    path.write_text('{"not": "an image"}')
    with pytest.raises(ValueError, match='cannot decode .*text.png'):
        decode_panoptic_png(path)


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'I;16'])
def test_other_image_modes_are_refused(tmp_path, mode):
    path = tmp_path / 'grey.png'
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(ValueError, match='grey.png: expected image mode RGB'):
        decode_panoptic_png(path)


def test_encode_refuses_floats(tmp_path):
    with pytest.raises(TypeError, match='map.png: expected integers, got fl'):
        encode_panoptic_png(np.zeros((2, 2)), tmp_path / 'map.png')


@pytest.mark.parametrize('shape', [(4,), (1, 2, 2), (0, 3)])
def test_encode_refuses_what_is_no_map(tmp_path, shape):
    with pytest.raises(ValueError, match=r'expected a map \(H, W\)'):
        encode_panoptic_png(np.zeros(shape, int), tmp_path / 'map.png')


@pytest.mark.parametrize('value', [-1, MAX_ID + 1])
def test_encode_refuses_ids_that_do_not_fit(tmp_path, value):
    with pytest.raises(ValueError, match=r'expected values in \[0, 16777215'):
        encode_panoptic_png(np.array([[0, value]]), tmp_path / 'map.png')
