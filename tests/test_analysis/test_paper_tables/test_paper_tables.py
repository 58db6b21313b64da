"""A row is described once: its config opens with the labels of its table."""

import re

import pytest

from freeseg_mm.analysis.paper_tables import TABLES

ROWS = [
    (table, number, source, config)
    for table in TABLES
    for number, row in enumerate(table.rows, 1)
    for source, configs in row.configs.items()
    for config in configs
]


@pytest.mark.parametrize(
    ('table', 'number', 'source', 'config'), ROWS, ids=[x[-1] for x in ROWS]
)
def test_config_names_its_place(table, number, source, config, repo):
    row = table.rows[number - 1]
    place = [f'Table {table.number}', source, row.section, *row.labels]
    if len(row.labels) > 1:
        place = [place[0], f'row {number}']
    expected = ', '.join(part for part in place if part).lower()
    text = (repo / 'configs/tables' / f'{config}.py').read_text()
    opening = text.removeprefix('"""').splitlines()[0].lower()
    opening = opening.replace('single task', 'single-task')
    assert re.match(re.escape(expected) + '[.,:]', opening)


def test_cited_numbers_fit_their_columns():
    for table in TABLES:
        for row in table.rows:
            for source, numbers in row.cited.items():
                columns = [c for c in table.columns if c.source == source]
                assert 0 < len(numbers) <= len(columns)
