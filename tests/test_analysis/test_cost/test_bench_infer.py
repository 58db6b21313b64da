import numpy as np
import pytest
from PIL import Image

from freeseg_mm.analysis.cost.infer import InferBenchmark
from freeseg_mm.analysis.cost.options import InferOptions


@pytest.fixture
def options(tiny_config_file):
    """Options for the tiny config; changes are given by name."""

    def make(**changes):
        fast = {'image_size': 64, 'classes': '5', 'runs': 1, 'warmup': 0}
        return InferOptions(**{'config': tiny_config_file, **fast, **changes})

    return make


def measure(options):
    shown = []
    return InferBenchmark(options).run(shown.append), '\n'.join(shown)


def test_against_the_release(options):
    result, shown = measure(options(against='reference'))
    this, reference = result['sides']['this'], result['sides']['reference']
    assert reference['counts']['calls']['decoder'] == 3
    assert reference['counts']['text tokens'] == 5 * 3 * 2 * 77
    assert this['counts']['text tokens'] == 0
    assert this['first']['counts']['text tokens'] > 0
    assert result['ratio']['macs'] == pytest.approx(
        reference['macs']['total'] / this['macs']['total']
    )
    assert result['ratio']['macs'] > result['ratio']['macs_first'] > 1
    assert result['ratio']['seconds'] == pytest.approx(
        reference['seconds']['total'] / this['seconds']['total']
    )
    assert result['same']['class_probs'] < 1e-4
    assert result['same']['pixels'] == {
        'semantic': 1.0,
        'instance': 1.0,
        'panoptic': 1.0,
    }
    places = [
        shown.index(word)
        for word in ('Counts', 'Multiply-adds', 'Seconds', 'Peak memory')
    ]
    assert places == sorted(places)
    assert 'reference takes ' in shown
    assert 'equal result pixels: semantic 100.000 %' in shown


def test_parts_add_up(options):
    side = measure(options())[0]['sides']['this']
    for kind in ('macs', 'seconds'):
        parts = dict(side[kind])
        assert sum(parts.values()) == pytest.approx(2 * parts.pop('total'))
    assert side['macs']['backbone'] > 0
    assert side['macs']['interaction'] > 0
    peaks = side['peak_bytes']
    if peaks is not None:
        total = peaks.pop('total')
        assert total == max(peaks.values())


def test_settings_are_kept(options):
    result, _ = measure(
        options(queries=4, tasks=['semantic'], measure=['counts'])
    )
    assert result['settings']['queries'] == 4
    assert result['settings']['classes'] == '5'
    assert result['settings']['device'] == 'cpu'
    assert 'ratio' not in result


def test_against_the_same_config_with_other_settings(options):
    result, shown = measure(
        options(
            against_options={'model.panoptic_head.num_queries': 3},
            measure=['counts'],
        )
    )
    assert list(result['sides']) == ['this', 'against']
    assert result['same']['class_probs'] is None
    assert 'the two differ in shape' in shown


def test_only_tasks_that_both_sides_predict_are_compared(options):
    result, shown = measure(
        options(
            measure=('macs',),
            against_options={'model.test_cfg.tasks': ['panoptic']},
        )
    )

    assert result['same']['pixels'] == {'panoptic': 1.0}
    assert result['same']['class_probs'] < 1e-4
    assert result['same']['mask_logits'] < 1e-4
    assert result['ratio']['macs'] < 1
    assert 'equal result pixels: panoptic 100.000 %' in shown


def test_another_config_gets_the_same_weights(options, tiny_config_file):
    result, shown = measure(
        options(against=tiny_config_file, seed=3, measure=['macs'])
    )
    assert result['same']['mask_logits'] == 0
    assert result['ratio']['macs'] == 1
    assert 'seconds' not in result['sides']['this']
    assert 'Seconds' not in shown


def test_all_files_are_predicted_in_batches(options, tmp_path):
    paths = [tmp_path / f'{index}.png' for index in range(3)]
    for path in paths:
        Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(path)
    benchmark = InferBenchmark(
        options(
            images=[str(path) for path in paths],
            batch=2,
            against='reference',
            measure=['counts'],
        )
    )
    assert [batch['inputs'].shape for batch in benchmark.batches] == [
        (2, 3, 32, 64),
        (1, 3, 32, 64),
    ]
    result = benchmark.run(lambda text: None)
    assert result['num_images'] == 3
    assert result['sides']['this']['counts']['calls']['backbone'] == 2
    assert result['same']['mask_logits'] < 1e-4


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'against': 'relaese'}, r"'relaese' is neither .* \['reference'\]"),
        (
            {'against': 'reference', 'against_options': {'model.neck': None}},
            '--against-options change a config, and --against reference is',
        ),
        ({'runs': 0}, '--runs 0: expected at least 1'),
        ({'warmup': -1}, '--warmup -1: expected at least 0'),
        ({'config': 'none.py'}, "no config file 'none.py'"),
        ({'checkpoint': 'none.pth'}, 'no checkpoint none.pth'),
        ({'tasks': ['depth']}, 'unknown task'),
        ({'measure': ['joules']}, r"--measure \['joules'\]: expected some of"),
        ({'queries': 0}, '--queries 0: expected at least 1'),
        ({'cfg_options': {'modle.x': 1}}, "'modle' is no setting of a run"),
    ],
)
def test_refuses(options, changes, message):
    with pytest.raises(
        (ValueError, FileNotFoundError, KeyError), match=message
    ):
        InferBenchmark(options(**changes))
