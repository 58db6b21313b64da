from pathlib import Path

import pytest


@pytest.fixture
def asked(monkeypatch):
    """Self-trainings that were asked for; each gives two weights."""
    jobs = []

    def run(job):
        jobs.append(job)
        yield from (Path('first.pth'), Path('second.pth'))

    monkeypatch.setattr(
        'freeseg_mm.recipes.self_training.SelfTraining.run', run
    )
    return jobs


def test_options_reach_the_rounds(asked, run, config_file, tmp_path):
    arguments = ('self-train', config_file, '--work-dir', tmp_path / 'out')
    status, out, _ = run(*arguments)
    assert (status, out) == (0, 'round 0: first.pth\nround 1: second.pth\n')
    assert run(*arguments, '--refresh')[0] == 0
    status, _, _ = run(
        *(*arguments, '--no-refresh', '--start', 'last', '--rounds', 2),
        *('--checkpoint', 'start.pth', '--score-thr', 0.7, '--no-prior'),
        *('--cfg-options', 'train_cfg.max_iters=9'),
    )
    assert status == 0
    plain, refreshed, other = asked
    assert (plain.rounds, plain.refresh, plain.start) == (1, True, 'scratch')
    assert plain.checkpoint is None
    assert plain.work_dir == tmp_path / 'out'
    assert refreshed.refresh
    assert (other.rounds, other.refresh, other.start) == (2, False, 'last')
    assert other.checkpoint == Path('start.pth')
    assert (other.settings.score_thr, other.settings.prior) == (0.7, False)
    assert other.config.train_cfg.max_iters == 9


def test_mistakes_end_in_a_sentence(run, config_file, tmp_path):
    arguments = ('self-train', config_file, '--work-dir', tmp_path / 'out')
    for options, message in (
        (['--rounds', 0], 'rounds: expected 1 or more'),
        (
            ['--rounds', 2, '--no-refresh'],
            'give the same weights each time',
        ),
        (['--checkpoint', 'gone.pth'], 'no checkpoint gone.pth'),
        (['--cfg-options', 'modle.x=1'], "'modle' is no setting of a run"),
    ):
        status, _, told = run(*arguments, *options)
        assert status == 1
        line = told.splitlines()[-1]
        assert line.startswith('freeseg-mm self-train: ')
        assert message in line
