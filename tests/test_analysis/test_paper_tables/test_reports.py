"""Markdown and CSV of one small table."""

import csv
import io

import pytest

from freeseg_mm.analysis.paper_tables import csv_report, markdown_report


@pytest.fixture
def results(make_result, tmp_path):
    return [
        make_result(
            'table9/a',
            path='a.json',
            title='configs/tables/table9/a.py',
            metrics={
                'semantic/mIoU_seen': 43.04,
                'semantic/mIoU_unseen': None,
            },
            options={'model.test_cfg.mode': 'clip'},
            checkpoint='x.pth',
            images=12,
        ),
        make_result(
            'freeseg/shapes',
            path='s.json',
            title='configs/freeseg/shapes.py',
            metrics={'panoptic/PQ': 50.0, 'panoptic/PQ_seen': None},
        ),
    ]


def test_markdown(table, rows, results):
    text = markdown_report([table], rows, results)
    assert text == MARKDOWN


MARKDOWN = """\
# Results beside the paper

Percent, `paper / ours`; an empty place is a number that is not there.

## Table 9. Nine

| Method   |       A seen |    A unseen |           A h |      B seen |
| -------- | -----------: | ----------: | ------------: | ----------: |
| Them     |  44.2 /      |             |   39.8 /      |             |
| **late** |              |             |               |             |
| Ours     | 44.2 / 43.0‡ | 28.6 /      | 39.8\\* /      | 10.0 /      |

- \\* late, Ours, A h: the paper prints 39.8, its own numbers beside it give \
34.7
- ‡ late, Ours: a.json was tested with model.test_cfg.mode=clip
- CLIP compares masks with its prompts: late, Ours

## Other results

| Metric           | configs/freeseg/shapes.py |
| ---------------- | ------------------------: |
| panoptic/PQ      |                      50.0 |
| panoptic/PQ_seen |                           |

## Where ours comes from

| Result                     | File   | Weights | Images | Options           \
       |
| -------------------------- | ------ | ------- | ------ | ------------------\
------ |
| configs/tables/table9/a.py | a.json | x.pth   | 12     | model.test_cfg.mod\
e=clip |
| configs/freeseg/shapes.py  | s.json |         |        |                   \
       |
"""


def test_markdown_without_results(table, rows):
    text = markdown_report([table], rows, [])
    assert '| Ours     | 44.2 /      |' in text
    assert 'Other results' not in text
    assert 'Where ours comes from' not in text


def test_results_of_the_same_name_are_told_apart(table, rows, results):
    twice = [results[1], results[1]]
    twice[1] = type(results[1])(
        path='t.json', title=results[1].title, metrics={'panoptic/PQ': 1.0}
    )
    text = markdown_report([table], rows, twice)
    assert (
        '| configs/freeseg/shapes.py (s.json) '
        '| configs/freeseg/shapes.py (t.json) |'
    ) in text
    assert '|                               50.0 |' in text


def test_csv(table, rows, results):
    lines = list(
        csv.DictReader(io.StringIO(csv_report([table], rows, results)))
    )
    assert [
        (line['table'], line['row'], line['column'], line['paper'])
        for line in lines
    ] == [
        ('9', 'Them', 'A seen', '44.2'),
        ('9', 'Them', 'A h', '39.8'),
        ('9', 'Ours', 'A seen', '44.2'),
        ('9', 'Ours', 'A unseen', '28.6'),
        ('9', 'Ours', 'A h', '39.8'),
        ('9', 'Ours', 'B seen', '10.0'),
        ('other', 'configs/freeseg/shapes.py', '', ''),
        ('other', 'configs/freeseg/shapes.py', '', ''),
    ]
    assert lines[2] == {
        'table': '9',
        'section': 'late',
        'row': 'Ours',
        'column': 'A seen',
        'metric': 'semantic/mIoU_seen',
        'paper': '44.2',
        'paper_implied': '',
        'ours': '43.0400',
        'result': 'a.json',
        'options': 'model.test_cfg.mode=clip',
    }
    assert lines[4]['paper_implied'] == '34.7'
    assert (lines[6]['metric'], lines[6]['ours']) == ('panoptic/PQ', '50.0000')
    assert lines[7]['ours'] == ''
