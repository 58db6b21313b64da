import numpy as np
import pytest
from PIL import Image

from freeseg_mm.visualization.small_png import write_small_png


def test_few_colours_are_kept_exactly(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = [250, 10, 120]
    write_small_png(picture, tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as file:
        assert file.mode == 'P'
        np.testing.assert_array_equal(np.asarray(file.convert('RGB')), picture)


def test_many_colours_become_few_and_near(tmp_path):
    ramp = np.linspace(0, 255, 64).round().astype(np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 128), axis=-1)
    picture = picture.astype(np.uint8)
    write_small_png(picture, tmp_path / 'a.png', 64)
    with Image.open(tmp_path / 'a.png') as file:
        found = np.asarray(file.convert('RGB')).astype(int)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 64
    assert np.abs(found - picture).mean() < 32


@pytest.mark.parametrize('count', [0, 257])
def test_numbers_a_png_cannot_have_are_refused(tmp_path, count):
    with pytest.raises(ValueError, match=f'expected 1 to 256, got {count}'):
        write_small_png(np.zeros((1, 1, 3), np.uint8), tmp_path / 'a', count)
