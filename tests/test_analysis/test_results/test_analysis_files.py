import math

import pytest
from PIL import Image

from freeseg_mm.analysis.results.figures import (
    check_format,
    new_figure,
    save_figure,
)
from freeseg_mm.analysis.results.files import (
    markdown_table,
    markdown_text,
    percent,
    write_csv,
)


def test_csv(tmp_path):
    path = tmp_path / 'table.csv'
    write_csv(path, ['name', 'value'], [('a, b', 1), ('ö', 2.5)])
    assert path.read_text('utf-8') == 'name,value\n"a, b",1\nö,2.5\n'


def test_markdown_table_aligns_numbers():
    assert markdown_table(['Name', ':%'], [['a|b', '1.0']]) == (
        '| Name | % |\n| --- | --: |\n| a\\|b | 1.0 |'
    )


def test_markdown_shows_text_as_it_is():
    assert markdown_text('a*b `c` [d] <e>') == r'a\*b \`c\` \[d] \<e>'


@pytest.mark.parametrize(
    ('value', 'text'), [(12.34, '12.3'), (None, '-'), (math.nan, '-')]
)
def test_percent(value, text):
    assert percent(value) == text


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
