import math

import pytest
from rich import box
from rich.table import Table

from freeseg_mm.utils.tables import (
    markdown_table,
    markdown_text,
    percent,
    render_table,
    write_csv,
)


def test_csv(tmp_path):
    path = tmp_path / 'table.csv'
    write_csv(path, ['name', 'value'], [('a, b', 1), ('ö', 2.5)])
    assert path.read_text('utf-8') == 'name,value\n"a, b",1\nö,2.5\n'


def test_markdown_table_aligns_numbers():
    assert markdown_table(['Name', ':%'], [['a', '12345']]) == (
        '| Name |     % |\n| ---- | ----: |\n| a    | 12345 |'
    )


def test_rows_may_end_early():
    table = markdown_table(['A', 'B'], [['x'], ['y', 'z']])
    assert table.splitlines()[2:] == ['| x   |     |', '| y   | z   |']


def test_markdown_shows_text_as_it_is():
    assert markdown_text('a*b `c` [d] <e>|') == r'a\*b \`c\` \[d] \<e>\|'


@pytest.mark.parametrize(
    ('value', 'text'), [(12.34, '12.3'), (None, '-'), (math.nan, '-')]
)
def test_percent(value, text):
    assert percent(value) == text


def test_text_by_hand():
    table = Table('name', 'n', box=box.ASCII2)
    table.add_row('[red] :cat:', '7')
    assert render_table(table).splitlines() == [
        '+-------------+---+',
        '| name        | n |',
        '+-------------+---+',
        '| [red] :cat: | 7 |',
        '+-------------+---+',
    ]


def test_wide_table_is_not_wrapped(monkeypatch):
    monkeypatch.setenv('COLUMNS', '40')
    table = Table('name', box=None, pad_edge=False)
    table.add_row('x ' * 100 + 'y')
    assert render_table(table).splitlines() == ['name', 'x ' * 100 + 'y']
