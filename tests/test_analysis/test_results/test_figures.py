import pytest
from PIL import Image

from freeseg_mm.analysis.results.figures import (
    check_format,
    new_figure,
    save_figure,
)


def test_figure_is_written_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    path = tmp_path / 'new' / 'figure.png'
    save_figure(new_figure(2, 1), path)
    with Image.open(path) as picture:
        assert picture.size == (220, 110)


@pytest.mark.parametrize('name', ['curves', 'curves.xyz'])
def test_format_must_be_known(tmp_path, name):
    with pytest.raises(ValueError, match=r'curves.*ending in .*\.png'):
        check_format(tmp_path / name)
