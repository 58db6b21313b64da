import re

import pytest

from freeseg_mm.analysis.paper_tables.filling import (
    Cell,
    contradictions,
    fill_table,
    other_results,
)


def test_cells_hold_what_is_known(table, rows, make_result):
    metrics = {'semantic/mIoU_seen': 43.0, 'semantic/mIoU_unseen': None}
    result = make_result('table9/a', metrics=metrics)

    them, ours = fill_table(table, rows, [result])

    assert them.cells == (Cell(44.2), Cell(), Cell(39.8), Cell())
    assert ours.cells[0] == Cell(44.2, None, 43.0, result)
    # a mean over nothing, and a metric that was not measured
    assert ours.cells[1] == Cell(28.6, None, None, result)
    assert ours.cells[2].ours is None
    assert ours.cells[2].implied == pytest.approx(34.7286, abs=1e-4)
    assert ours.cells[3] == Cell(10.0)


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


def semantic(seen, unseen, harmonic):
    return {
        'semantic/mIoU_seen': seen,
        'semantic/mIoU_unseen': unseen,
        'semantic/hIoU': harmonic,
    }


def instance(seen, unseen, mean):
    return {
        'instance/mAP_seen': seen,
        'instance/mAP_unseen': unseen,
        'instance/mAP': mean,
    }


def test_hiou_is_the_harmonic_mean():
    # 2 * 44.2 * 28.6 / 72.8 = 34.728...
    found = contradictions(semantic(44.2, 28.6, 39.8))
    assert found == {'semantic/hIoU': pytest.approx(34.7286, abs=1e-4)}
    assert contradictions(semantic(44.2, 28.6, 34.7)) == {}


def test_map_is_the_mean_of_classes():
    # (73 * 23.7 + 7 * 20.6) / 80 = 1874.3 / 80 = 23.42875
    found = contradictions(instance(23.7, 20.6, 22.8), (73, 7))
    assert found == {'instance/mAP': pytest.approx(23.42875)}
    assert contradictions(instance(23.7, 20.6, 23.4), (73, 7)) == {}
    # nothing is said where the classes are not known
    assert contradictions(instance(23.7, 20.6, 22.8)) == {}


@pytest.mark.parametrize(
    ('printed', 'sound'),
    [
        # between 1.95 and 2.05, each mean lies in [1.95, 2.05]
        (1.9, True),
        (2.1, True),
        (1.8, False),
        (2.2, False),
    ],
)
def test_rounding_is_allowed_for(printed, sound):
    numbers = semantic(2.0, 2.0, printed) | instance(2.0, 2.0, printed)
    assert (contradictions(numbers, (1, 1)) == {}) == sound


def test_missing_numbers_are_not_checked():
    whole = semantic(44.2, 28.6, 39.8)
    for metric in whole:
        rest = {key: whole[key] for key in whole if key != metric}
        assert contradictions(rest) == {}
