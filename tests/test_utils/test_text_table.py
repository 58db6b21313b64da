from rich import box
from rich.table import Table

from freeseg_mm.utils.text_table import render_table


def test_by_hand():
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
