import json
from functools import cache

import pytest

from freeseg_mm.analysis import paper_tables as package

load_rows = cache(package.load_rows)


@pytest.fixture
def report(run, monkeypatch):
    """Run the command; the rows are read once for all tests."""
    monkeypatch.setattr(package, 'load_rows', load_rows)

    def report(*arguments):
        status, out, _ = run('report', *arguments)
        assert status == 0
        return out

    return report


@pytest.fixture
def results(tmp_path):
    path = tmp_path / 'results.json'
    content = {
        'config': 'configs/tables/table1/semantic_coco_ours.py',
        'metrics': {
            'semantic/mIoU_seen': 12.3,
            'instance/mAP_seen': 45.6,
            'panoptic/PQ_unseen': 78.9,
        },
    }
    path.write_text(json.dumps(content))
    return path


def line_of(text, table, row):
    part = text.split(f'## Table {table}. ')[1].split('\n## ')[0]
    return [line for line in part.splitlines() if line.startswith(f'| {row} ')]


def test_one_test_fills_all_rows_of_its_run(report, results):
    text = report(results)
    assert text.count('\n## Table ') == 7
    assert '42.2 / 12.3' in line_of(text, 1, 'Ours')[0]
    assert '23.7 / 45.6' in line_of(text, 2, 'Ours')[0]
    assert '45.6' not in line_of(text, 2, 'Ours')[1]
    assert '29.8 / 78.9' in line_of(text, 3, 'Ours')[0]
    # without self-training they are other runs
    for number, row in ((4, 'yes'), (7, 'Multi-task'), (7, 'Fixed')):
        assert '12.3' not in ''.join(line_of(text, number, row))


def test_numbers_that_contradict_are_marked(report):
    """Those that the paper's own formulas give, and no others."""
    text = report()
    notes = [
        line.removeprefix('- \\* ')
        for line in text.splitlines()
        if line.startswith('- \\*')
    ]
    says = '{}: the paper prints {}, its own numbers beside it give {}'
    assert notes == [
        says.format(*values)
        for values in (
            ('Full Sup., VOC2012 hIoU', 91.1, 90.9),
            ('Full Sup., ADE20K hIoU', 44.0, 43.7),
            ('STRICT, VOC2012 hIoU', 73.3, 49.8),
            ('ZSSeg, VOC2012 hIoU', 79.3, 78.6),
            ('ZSSeg, ADE20K hIoU', 31.6, 26.7),
            ('Ours, ADE20K hIoU', 39.8, 34.7),
            ('COCO, Ours, mAP', 22.8, 23.4),
            ('ADE20K, ZSSeg, mAP', 9.8, '10.0'),
        )
    ]


def test_csv_to_a_file(report, results, tmp_path):
    out = tmp_path / 'new' / 'tables.csv'
    assert report(results, '--format', 'csv', '--out', out) == ''
    lines = out.read_text().splitlines()
    assert lines[0].startswith('table,section,row,column,metric,paper,')
    # semantic mIoU on COCO is of one table: the others are other runs
    assert len([line for line in lines if ',12.3000,' in line]) == 1


def test_mistake_is_one_sentence(run, tmp_path):
    path = tmp_path / 'absent.json'
    status, _, told = run('report', path)
    assert status == 1
    assert told == f'freeseg-mm report: no result file {path}\n'
