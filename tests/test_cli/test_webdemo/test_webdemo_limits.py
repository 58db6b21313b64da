import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli.webdemo.form import Limits


def test_sides_up_to_the_limit_pass(photo):
    Limits(max_side=64).check(photo)
    with pytest.raises(
        ValueError, match='photo.png has 64 x 48 pixels, .* 63'
    ):
        Limits(max_side=63).check(photo)


def test_bytes_up_to_the_limit_pass(tmp_path):
    path = tmp_path / 'photo.png'
    path.write_bytes(bytes(1_500_000))
    Limits(max_upload_mb=1.5).check(path)
    with pytest.raises(
        ValueError, match=r'photo.png has 1.5 MB, .* up to 1.4'
    ):
        Limits(max_upload_mb=1.4).check(path)
    assert Limits(max_upload_mb=1e-9).max_bytes == 1


def test_what_is_no_image_is_left_to_its_reader(tmp_path):
    path = tmp_path / 'photo.png'
    path.write_text('no image')
    Limits().check(path)


def test_far_too_many_pixels(tmp_path, monkeypatch):
    """Pillow refuses to open what could fill the memory."""
    path = tmp_path / 'bomb.png'
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    with pytest.raises(ValueError, match='bomb.png has far more pixels'):
        Limits().check(path)


@pytest.mark.parametrize(
    ('numbers', 'message'),
    [
        ({'max_upload_mb': 0}, 'max_upload_mb: expected more than 0, got 0'),
        ({'max_upload_mb': float('nan')}, 'max_upload_mb: .* got nan'),
        ({'max_side': 0}, 'max_side: expected at least 1, got 0'),
    ],
)
def test_impossible_limits(numbers, message):
    with pytest.raises(ValueError, match=message):
        Limits(**numbers)
