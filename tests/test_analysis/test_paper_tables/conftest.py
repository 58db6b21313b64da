import pytest

from freeseg_mm.analysis.paper_tables.filling import Column, Row, Table
from freeseg_mm.analysis.paper_tables.result_files import Result
from freeseg_mm.analysis.paper_tables.row_configs import RowConfig


@pytest.fixture
def make_row():
    """A row config; its name is what it trains and tests."""

    def make(name, **changes):
        content = {
            'paper': {'semantic/mIoU_seen': 10.0},
            'weights': name,
            'num_things': (1, 1),
            'training': name,
            'test': name,
        }
        return RowConfig(name=name, **content | changes)

    return make


@pytest.fixture
def make_result(tmp_path):
    def make(row, value=11.0, **changes):
        content = {
            'path': tmp_path / f'{row.replace("/", "_")}.json',
            'title': f'configs/tables/{row}.py',
            'metrics': {'semantic/mIoU_seen': value},
            'row': row,
        }
        return Result(**content | changes)

    return make


@pytest.fixture
def table():
    """Two data sets; one row run, one cited."""
    return Table(
        9,
        'Nine',
        ('Method',),
        (
            Column('A seen', 'semantic/mIoU_seen', 'A'),
            Column('A unseen', 'semantic/mIoU_unseen', 'A'),
            Column('A h', 'semantic/hIoU', 'A'),
            Column('B seen', 'semantic/mIoU_seen', 'B'),
        ),
        (
            Row(('Them',), cited={'A': (44.2, None, 39.8)}),
            Row(
                ('Ours',),
                'late',
                configs={'A': ('table9/a',), 'B': ('table9/b',)},
            ),
        ),
    )


@pytest.fixture
def rows(make_row):
    """Row ``a`` prints an impossible hIoU."""
    return {
        'table9/a': make_row(
            'table9/a',
            paper={
                'semantic/mIoU_seen': 44.2,
                'semantic/mIoU_unseen': 28.6,
                'semantic/hIoU': 39.8,
            },
        ),
        'table9/b': make_row('table9/b', view='its prompts'),
    }
