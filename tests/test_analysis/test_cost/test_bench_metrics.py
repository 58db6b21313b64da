import json
from dataclasses import replace

import pytest

from freeseg_mm.analysis.cost.metrics import MetricsBenchmark
from freeseg_mm.analysis.cost.options import MetricsOptions
from freeseg_mm.cli import main


@pytest.fixture
def options(tiny_run_config, tmp_path):
    """Six images out of the four that there are."""
    path = tmp_path / 'run.json'
    path.write_text(json.dumps(tiny_run_config.to_dict()))
    return MetricsOptions(config=str(path), images=6, detections=5)


def test_all_sides_find_the_same(options):
    pytest.importorskip('mmseg')
    shown = []
    result = MetricsBenchmark(options).run(shown.append)
    score = result['score']
    assert score['pycocotools'] == {'instance': score['this']['instance']}
    assert set(score['this']) == {'semantic', 'instance', 'panoptic'}
    for task, places in (('semantic', 0.0051), ('instance', 0.051)):
        # mmdet and mmseg round
        assert score['stock'][task] == pytest.approx(
            score['this'][task], abs=places
        )
    assert 0 < score['this']['panoptic'] < 100
    (text,) = shown
    rows = [line.split() for line in text.splitlines()]
    assert ['Seconds', 'of', '6', 'images', *options.sides] in rows
    for kind in ('seconds', 'cpu_seconds', 'bytes_held'):
        for side in options.sides:
            assert all(value > 0 for value in result[kind][side].values())


def test_predictions_follow_the_seed(options):
    one, again, other = (
        MetricsBenchmark(
            replace(options, seed=seed, sides=['this'], images=4)
        ).run(lambda _: None)['score']['this']
        for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


def test_more_detections_are_held(options):
    held = [
        MetricsBenchmark(
            replace(options, detections=number, sides=['this'], images=4)
        ).run(lambda _: None)['bytes_held']['this']
        for number in (5, 50)
    ]
    assert held[1]['instance'] > 3 * held[0]['instance']
    assert held[1]['semantic'] == held[0]['semantic']


def test_command(options, tmp_path, capsys):
    out = tmp_path / 'costs.json'
    few = ['--images', '2', '--detections', '3', '--sides', 'this']
    command = ['bench', 'metrics', options.config, *few, '--out', str(out)]
    assert main(command) == 0
    assert 'Held until the end (MiB)' in capsys.readouterr().out
    assert json.loads(out.read_text())['settings']['detections'] == 3


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'images': 0}, '--images 0: expected at least 1'),
        ({'sides': ['those']}, r"--sides \['those'\]: expected some of"),
    ],
)
def test_refuses(options, change, message):
    with pytest.raises(ValueError, match=message):
        replace(options, **change)


def test_config_without_our_metrics(options, tiny_run_config, tmp_path):
    tiny_run_config.test_evaluator = [{'type': 'mmseg.IoUMetric'}]
    path = tmp_path / 'stock.json'
    path.write_text(json.dumps(tiny_run_config.to_dict()))
    with pytest.raises(ValueError, match='test_evaluator has none of'):
        MetricsBenchmark(replace(options, config=str(path)))
