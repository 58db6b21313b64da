import pytest

from freeseg_mm.benchmark.metrics import table, time_metrics


def test_ours_and_stock_agree_on_the_same_predictions(
    tiny_run_config,
):
    pytest.importorskip('mmseg')
    result = time_metrics(tiny_run_config, images=3, rounds=1, objects=9)
    assert {key: result[key] for key in ('images', 'objects', 'rounds')} == {
        'images': 3,
        'objects': 9,
        'rounds': 1,
    }
    assert list(result['metrics']) == [
        'semantic',
        'instance',
        'panoptic',
        'all',
    ]
    # mmseg rounds to 2 decimals of a percent, mmdet AP to 3 of a fraction
    for task, rounding in (
        ('semantic', 0.005),
        ('instance', 0.05),
        ('panoptic', 1e-9),
    ):
        row = result['metrics'][task]
        assert 0 < row['ours_value'] < 100
        assert row['ours_value'] == pytest.approx(
            row['stock_value'], abs=rounding + 1e-9
        )
        assert row['ratio'] == row['ours_s'] / row['stock_s']
    whole = result['metrics']['all']
    assert whole['ours_s'] == pytest.approx(
        sum(
            result['metrics'][task]['ours_s']
            for task in ('semantic', 'instance', 'panoptic')
        )
    )


def test_table_has_a_row_a_task():
    row = {
        'ours_s': 1.0,
        'stock_s': 4.0,
        'ratio': 0.25,
        'ours_value': 30.12346,
        'stock_value': 30.12,
    }
    total = {'ours_s': 1.0, 'stock_s': 4.0, 'ratio': 0.25}
    lines = table(
        {
            'images': 7,
            'objects': 5,
            'rounds': 2,
            'metrics': {'semantic': row, 'all': total},
        }
    ).splitlines()
    assert lines[0] == '7 images, 5 instances in each, median of 2, seconds'
    assert lines[2] == (
        'semantic     1.00     4.00         0.25   30.1235 30.1200'
    )
    assert lines[3] == 'all          1.00     4.00         0.25'


@pytest.mark.parametrize('count', ['images', 'rounds'])
def test_counts_are_positive(tiny_run_config, count):
    with pytest.raises(ValueError, match=f'at least 1 of {count}, got 0'):
        time_metrics(tiny_run_config, **{count: 0})


def test_semantic_pngs_are_needed(tiny_run_config):
    del tiny_run_config.test_dataloader.dataset.data_prefix['sem']
    with pytest.raises(ValueError, match="panoptic_val.json.* has no 'sem'"):
        time_metrics(tiny_run_config, images=1)


def test_missing_metric_is_named(tiny_run_config):
    del tiny_run_config.test_evaluator[1]
    with pytest.raises(
        ValueError, match='test_evaluator has no freeseg_mm.OpenVocabInsMetri'
    ):
        time_metrics(tiny_run_config, images=1)


def test_missing_mmseg_is_named(tiny_run_config, monkeypatch):
    monkeypatch.setattr(
        'freeseg_mm.benchmark.metrics_stock.find_spec', lambda name: None
    )
    with pytest.raises(ValueError, match='pip install mmsegmentation'):
        time_metrics(tiny_run_config, images=1)
