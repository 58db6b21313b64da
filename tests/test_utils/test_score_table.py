import pytest

from freeseg_mm.utils.text_table import score_table

COLUMNS = {'mIoU': 'semantic/mIoU', 'panoptic quality': 'panoptic/PQ'}


def metrics(*values):
    keys = [
        f'{key}_{part}'
        for key in COLUMNS.values()
        for part in ('seen', 'unseen')
    ]
    return dict(zip(keys, values, strict=True))


def test_table():
    rows = {
        'query': metrics(12.34, 0.06, 100.0, 5),
        'both scores': metrics(1.0, float('nan'), None, 99.95),
    }
    assert score_table(rows, COLUMNS).splitlines() == [
        '                       mIoU   panoptic quality',
        '               seen  unseen       seen  unseen',
        'query          12.3     0.1      100.0     5.0',
        'both scores     1.0       -          -   100.0',
    ]


def test_missing_metric_is_named():
    rows = {'query': {'semantic/mIoU_seen': 1.0}}
    with pytest.raises(
        KeyError, match="query: no metric 'semantic/mIoU_unseen'"
    ):
        score_table(rows, COLUMNS)
