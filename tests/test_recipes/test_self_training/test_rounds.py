"""Rounds of self-training, whole and killed on the way."""

import os
import signal
from pathlib import Path

import pytest
import torch
from warm_processes import run_warm

from freeseg_mm.recipes.self_training import SelfTraining

ANYTHING = [
    *('--score-thr', 0, '--min-area', 0, '--min-unlabelled', 0),
    *('--overlap-thr', 0, '--num-workers', 0, '--device', 'cpu'),
]
KILLED = -int(signal.SIGKILL)


@pytest.fixture
def short_config(tiny_run_config):
    """Four iterations, a checkpoint every second one, no validation."""
    config = tiny_run_config
    config.train_cfg.max_iters = 4
    config.default_hooks.checkpoint.interval = 2
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    return config


@pytest.fixture
def self_train(short_config, tmp_path):
    """Run the command once for each moment it is killed at."""
    config_file = tmp_path / 'short.py'
    short_config.dump(config_file)

    def run(name, moments, *options):
        done = run_warm(
            [
                *(Path(__file__).parent / 'killed_runs.py', moments),
                *(config_file, '--work-dir', tmp_path / name),
                *(*ANYTHING, *options),
            ],
            cwd=tmp_path,
            env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''},
            timeout=1800,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        ends = [
            line.split()[1:]
            for line in done.stdout.splitlines()
            if line.startswith('ended: ')
        ]
        return ends, done.stdout

    return run


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def are_equal(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here')
def test_killed_at_any_moment_ends_with_the_same_weights(
    self_train, tiny_weights, tmp_path
):
    # lively weights to begin with, so that there is something to label
    options = [
        *('--rounds', 2, '--checkpoint', tiny_weights[1], '--start', 'last')
    ]
    ends, output = self_train('whole', 'none', *options)
    assert ends == [['none', '0']], output[-3000:]
    moments = [
        'label:1:5',
        'train:1:1',  # before there is any checkpoint
        'train:1:3',
        'write:1:4',
        'label:2:8',
        'train:2:2',  # right after a checkpoint
    ]
    ends, output = self_train('killed', ','.join([*moments, 'none']), *options)
    assert ends == [
        *([moment, str(KILLED)] for moment in moments),
        ['none', '0'],
    ], output[-3000:]
    rounds = [weights(tiny_weights[1])]
    for number in (1, 2):
        whole, killed = (
            tmp_path / name / f'round_{number}' for name in ('whole', 'killed')
        )
        final, labels = 'train/iter_4.pth', 'pseudo_labels/pseudo_labels.json'
        assert (whole / labels).read_bytes() == (killed / labels).read_bytes()
        rounds.append(weights(whole / final))
        assert are_equal(rounds[-1], weights(killed / final)), number
        assert not are_equal(rounds[-1], rounds[-2])


@pytest.fixture
def rounds(short_config, tmp_path, tiny_weights):
    """Make a self-training that starts from the tiny weights."""
    from freeseg_mm.recipes.self_training import PseudoLabelSettings

    def make(**changes):
        return SelfTraining(
            short_config,
            tmp_path / 'rounds',
            **{
                'checkpoint': tiny_weights[1],
                'settings': PseudoLabelSettings(
                    score_thr=0.0,
                    min_area=0,
                    min_unlabelled=0.0,
                    overlap_thr=0.0,
                ),
                'num_workers': 0,
                'device': 'cpu',
                **changes,
            },
        )

    return make


@pytest.fixture
def plan(monkeypatch):
    """What is labelled with which weights and trained from where."""
    done = []

    def label(job):
        done.append(('label', job.checkpoint.name, job.out.parent.name))

    def train(job):
        done.append(
            (
                'train',
                job.labels and job.labels.parent.name,
                job.start and job.start.name,
            )
        )
        return Path(f'{job.folder.parent.name}.pth')

    monkeypatch.setattr(
        'freeseg_mm.recipes.self_training.Labelling.run', label
    )
    monkeypatch.setattr(
        'freeseg_mm.recipes.self_training.rounds.Training.run', train
    )
    return done


def test_labels_are_refreshed_by_the_last_weights(rounds, plan):
    names = [path.name for path in rounds(rounds=2, checkpoint=None).run()]
    assert names == ['round_0.pth', 'round_1.pth', 'round_2.pth']
    assert plan == [
        ('train', None, None),
        ('label', 'round_0.pth', 'round_1'),
        ('train', 'round_1', None),
        ('label', 'round_1.pth', 'round_2'),
        ('train', 'round_2', None),
    ]


def test_labels_made_once_and_trained_on_from_the_last_weights(rounds, plan):
    job = rounds(rounds=2, refresh=False, start='last')
    assert [path.name for path in job.run()] == [
        'tiny.pth',
        'round_1.pth',
        'round_2.pth',
    ]
    assert plan == [
        ('label', 'tiny.pth', 'round_1'),
        ('train', 'round_1', 'tiny.pth'),
        ('label', 'tiny.pth', 'round_1'),
        ('train', 'round_1', 'round_1.pth'),
    ]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'rounds': 0}, 'rounds: expected 1 or more, got 0'),
        ({'start': 'middle'}, "start 'middle' is none of"),
        ({'rounds': 2, 'refresh': False}, '2 rounds from scratch on the same'),
    ],
)
def test_rounds_that_make_no_sense_are_refused(rounds, options, message):
    with pytest.raises(ValueError, match=message):
        rounds(**options)
