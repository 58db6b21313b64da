import pytest

from freeseg_mm.analysis.cost.options import TrainOptions
from freeseg_mm.analysis.cost.train import TrainBenchmark


@pytest.fixture
def options(tiny_config_file):
    """Options for the tiny config; changes are given by name."""

    def make(**changes):
        fast = {'image_size': 64, 'classes': '5', 'runs': 1, 'warmup': 0}
        return TrainOptions(**{'config': tiny_config_file, **fast, **changes})

    return make


def measure(options):
    shown = []
    return TrainBenchmark(options).run(shown.append), '\n'.join(shown)


def test_against_mask2former(options, tmp_path):
    result, shown = measure(options(against='mask2former'))
    this, other = result['sides']['this'], result['sides']['mask2former']
    for part in ('backbone', 'pixel decoder'):
        assert this['macs'][part] == other['macs'][part] > 0
    assert 'text' not in other['macs']
    assert this['macs']['text'] > 0
    assert this['macs']['backward'] > this['macs']['backbone']
    assert result['ratio']['macs'] == pytest.approx(
        other['macs']['total'] / this['macs']['total']
    )
    # 2 images, before the first and after each of two layers
    assert this['counts']['calls']['matching'] == 6
    assert other['counts']['calls']['matching'] == 6
    assert this['counts']['text prompts'] == 5
    assert 'mask2former takes ' in shown


def test_against_options(options):
    change = {'model.panoptic_head.context_interaction': None}
    fewer = {'model.panoptic_head.num_queries': 3}
    benchmark = TrainBenchmark(
        options(cfg_options=fewer, against_options=change, count_only=True)
    )
    result = benchmark.run(lambda text: None)
    # on top of the first side's
    assert [
        side.run.model.panoptic_head.num_queries for side in benchmark.sides
    ] == [3, 3]
    against = result['sides']['against']
    assert 'interaction' not in against['macs']
    assert result['sides']['this']['macs']['interaction'] > 0
    assert result['ratio']['macs'] < 1


def test_on_the_configs_own_data(options, tiny_run_config, tmp_path):
    config = tmp_path / 'run.py'
    tiny_run_config.dump(config)
    benchmark = TrainBenchmark(
        options(config=str(config), data=True, against='mask2former', batch=3)
    )
    ours, theirs = (side.run.batch for side in benchmark.sides)
    assert len(ours['inputs']) == 3
    for sample, other in zip(
        ours['data_samples'], theirs['data_samples'], strict=True
    ):
        ids = set(sample.gt_sem_seg.sem_seg.unique().tolist())
        present = [x for x in sample.segments if x['id'] in ids]
        assert other.gt_instances.labels.tolist() == [
            segment['label'] for segment in present
        ]
        assert len(other.gt_instances.masks) == len(present) > 0
    result = benchmark.run(lambda text: None)
    assert result['sides']['mask2former']['macs']['total'] > 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'against': 'mask3former'}, r"is neither .* \['mask2former'\]"),
        (
            {'against': 'mask2former', 'against_options': {'model.neck': 1}},
            '--against-options change a config',
        ),
        ({'runs': 0}, '--runs 0: expected at least 1'),
        ({'segments': 0}, '--segments 0: expected at least 1'),
        ({'batch': 0}, '--batch 0: expected at least 1'),
        ({'task': 'depth'}, 'unknown task'),
        ({'image_size': 8}, '--image-size 8: expected at least 32'),
    ],
)
def test_refuses(options, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        TrainBenchmark(options(**changes))
