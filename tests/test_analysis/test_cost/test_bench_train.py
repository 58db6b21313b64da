from types import SimpleNamespace

import pytest
from torch import nn

from freeseg_mm.analysis.cost.options import TrainOptions
from freeseg_mm.analysis.cost.passes import Contender
from freeseg_mm.analysis.cost.train import (
    TrainBenchmark,
    network_costs,
    network_table,
)


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


def test_loss_is_one_however_scores_are_held(options):
    """Scores in pieces, activations made again: what differs is memory."""
    interaction = 'model.panoptic_head.context_interaction'
    result, shown = measure(
        options(
            measure=['macs'],
            cfg_options={f'{interaction}.dropout': 0.0},
            against_options={
                f'{interaction}.kept_scores': 1,
                'model.panoptic_head.with_cp': True,
            },
        )
    )
    assert set(result['sides']['this']) == {'macs'}
    loss = result['loss']
    assert loss['against'] == pytest.approx(loss['this'], rel=1e-6)
    assert f'loss of the step, this: {loss["this"]:.8g}' in shown


@pytest.fixture
def three_steps():
    """Measured steps: 12 trained parameters, 20 frozen ones and 6 of CLIP."""
    model = nn.ModuleList([nn.Linear(3, 3), nn.Linear(4, 4)])
    model[1].requires_grad_(False)
    clip = SimpleNamespace(
        # the model's backbone is a part of it
        clip=nn.ModuleList([nn.Linear(2, 2).requires_grad_(False), model[1]])
    )
    return model, [
        Contender(
            'one', None, [], clip,
            costs={'macs': {'total': macs}, 'seconds': {'total': seconds}},
        )
        for macs, seconds in ((1e12, 3.0), (2e12, 3.0), (6e12, 12.0))
    ]  # fmt: skip


def test_one_network_of_three_tasks_costs_a_third_of_three(three_steps):
    model, sides = three_steps
    costs = network_costs(sides, model, 600)
    third = pytest.approx(1 / 3)
    assert costs == {
        'networks': {'one': 1, 'each': 3, 'share': third},
        'steps': {'one': 600, 'each': 1800, 'share': third},
        'steps_of_a_task': {'one': 200, 'each': 600, 'share': third},
        # 200 steps of each against 600 of each
        'macs': {'one': 1.8e15, 'each': 5.4e15, 'share': third},
        'seconds': {'one': 3600, 'each': 10800, 'share': third},
        'trained': {'one': 12, 'each': 36, 'share': third},
        'frozen': {'one': 26, 'each': 78, 'share': third},
    }
    assert network_table(costs, 3).splitlines() == [
        'Cost of a training      one of 3 tasks  3 of one task  share',
        'networks                             1              3  0.333',
        'steps                              600          1,800  0.333',
        'steps of a task                    200            600  0.333',
        'multiply-adds (TMAC)             1,800          5,400  0.333',
        'hours on this device                 1              3  0.333',
        'parameters trained (M)         1.2e-05        3.6e-05  0.333',
        'parameters frozen (M)          2.6e-05        7.8e-05  0.333',
    ]


@pytest.mark.parametrize('count_only', [True, False])
def test_step_of_each_task(options, count_only):
    benchmark = TrainBenchmark(
        options(
            task='all',
            count_only=count_only,
            cfg_options={'train_cfg.max_iters': 30},
        )
    )
    shown = []
    result = benchmark.run(shown.append)
    tasks = ['semantic', 'instance', 'panoptic']
    assert list(result['sides']) == tasks
    for side, task in zip(benchmark.sides, tasks, strict=True):
        assert {x.task.value for x in side.run.batch['data_samples']} == {task}
    # the same network, and images
    first, *others = (side.run for side in benchmark.sides)
    assert all(other.model is first.model for other in others)
    found = result['networks']
    macs = [result['sides'][task]['macs']['total'] for task in tasks]
    assert found['macs']['one'] == pytest.approx(10 * sum(macs))
    assert found['macs']['each'] == pytest.approx(30 * sum(macs))
    assert ('seconds' in found) == (not count_only)
    trained = sum(
        x.numel() for x in first.model.parameters() if x.requires_grad
    )
    assert found['trained']['each'] == 3 * trained > 0
    assert found['frozen']['one'] > 10_000  # CLIP's
    assert 'one of 3 tasks' in shown[-1]


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
        ({'task': 'all', 'against': 'mask2former'}, 'leave out --against'),
        ({'task': 'all', 'against_options': {'a': 1}}, 'leave out --against'),
        (
            {'task': 'all', 'cfg_options': {'train_cfg.max_iters': None}},
            'needs train_cfg.max_iters',
        ),
        ({'image_size': 8}, '--image-size 8: expected at least 32'),
    ],
)
def test_refuses(options, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        TrainBenchmark(options(**changes))
