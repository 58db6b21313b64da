import re

import pytest

from freeseg_mm.analysis.paper_tables.filling import (
    Cell,
    fill_table,
    other_results,
)


def test_cells_hold_what_is_known(table, rows, make_result):
    metrics = {'semantic/mIoU_seen': 43.0, 'semantic/mIoU_unseen': None}
    result = make_result('table9/a', metrics=metrics)

    them, ours = fill_table(table, rows, [result])

    assert them.cells == (Cell(44.2), Cell(), Cell(39.8), Cell())
    assert them.lacks == {}
    assert ours.cells[0] == Cell(44.2, None, 43.0, result)
    # a mean over nothing, and a metric that was not measured
    assert ours.cells[1] == Cell(28.6, None, None, result)
    assert ours.cells[2].ours is None
    assert ours.cells[2].implied == pytest.approx(34.7286, abs=1e-4)
    assert ours.cells[3] == Cell(10.0)
    assert ours.lacks == {'B': ('prompt tuning',)}


def test_same_run_fills_another_row(table, rows, make_row, make_result):
    rows['table1/x'] = make_row('table1/x', training='same', test='same')
    rows['table9/b'] = make_row('table9/b', training='same', test='same')
    result = make_result('table1/x', 12.0)

    assert fill_table(table, rows, [result])[1].cells[3].ours == 12.0
    # its own result comes first, wherever it stands
    own = make_result('table9/b', 13.0)
    assert fill_table(table, rows, [result, own])[1].cells[3].ours == 13.0


@pytest.mark.parametrize(
    'change', [{'training': 'other'}, {'test': 'other'}, {'weights': 'w'}]
)
def test_another_run_does_not(table, rows, make_row, make_result, change):
    same = {'training': 'same', 'test': 'same'}
    rows['w'] = make_row('w')
    rows['table1/x'] = make_row('table1/x', **same | change)
    rows['table9/b'] = make_row('table9/b', **same)
    result = make_result('table1/x', 12.0)
    assert fill_table(table, rows, [result])[1].cells[3].ours is None


def test_weights_of_one_row_make_the_same_run(
    table, rows, make_row, make_result
):
    rows['w'] = make_row('w')
    for name in ('table1/x', 'table9/b'):
        rows[name] = make_row(name, weights='w', test='same')
    result = make_result('table1/x', 12.0)
    assert fill_table(table, rows, [result])[1].cells[3].ours == 12.0


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        ('model.test_cfg.ensemble.mode', None),
        ('test_dataloader.dataset.data_root', 12.0),
        ('model.clip.pretrained', 12.0),
    ],
)
def test_other_settings_make_another_run(
    table, rows, make_row, make_result, option, expected
):
    for name in ('table1/x', 'table9/b'):
        rows[name] = make_row(name, training='same', test='same')
    result = make_result('table1/x', 12.0, options={option: 'x'})
    assert fill_table(table, rows, [result])[1].cells[3].ours == expected
    # of its own row it is, with a mark
    own = make_result('table9/b', 13.0, options={option: 'x'})
    assert fill_table(table, rows, [own])[1].cells[3].ours == 13.0


def test_two_results_of_a_row(table, rows, make_result, tmp_path):
    results = [
        make_result('table9/a', path=tmp_path / name) for name in ('1', '2')
    ]
    message = (
        f"2 results of table9/a: ['{tmp_path / '1'}', '{tmp_path / '2'}']; "
        'give one of them'
    )
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        fill_table(table, rows, results)


def test_row_without_config(table, rows):
    del rows['table9/b']
    message = "Table 9, Ours: no config of ['table9/b'] among the 1 rows"
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        fill_table(table, rows, [])


def test_results_of_no_row(rows, make_result):
    results = [make_result(name) for name in ('table9/a', 'freeseg/coco')]
    assert other_results(rows, results) == results[1:]
