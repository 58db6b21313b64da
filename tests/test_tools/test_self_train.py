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


def run(run_tool, *arguments):
    with pytest.raises(SystemExit) as exit_:
        run_tool('self_train.py', *arguments)
    return exit_.value.code


def test_options_reach_the_rounds(
    asked, run_tool, config_file, tmp_path, capsys
):
    arguments = (config_file, '--work-dir', tmp_path / 'out')
    assert run(run_tool, *arguments) == 0
    printed = capsys.readouterr().out
    assert printed == 'round 0: first.pth\nround 1: second.pth\n'
    assert run(run_tool, *arguments, '--refresh') == 0
    code = run(
        run_tool,
        *(*arguments, '--once', '--from', 'last', '--rounds', 2),
        *('--checkpoint', 'start.pth', '--score-thr', 0.7, '--no-prior'),
        *('--cfg-options', 'train_cfg.max_iters=9'),
    )
    assert code == 0
    plain, refreshed, other = asked
    assert (plain.rounds, plain.refresh, plain.start) == (1, True, 'scratch')
    assert plain.checkpoint is None
    assert plain.work_dir == tmp_path / 'out'
    assert refreshed.refresh
    assert (other.rounds, other.refresh, other.start) == (2, False, 'last')
    assert other.checkpoint == Path('start.pth')
    assert (other.settings.score_thr, other.settings.prior) == (0.7, False)
    assert other.config.train_cfg.max_iters == 9


def test_mistakes_end_in_a_sentence(run_tool, config_file, tmp_path, capsys):
    arguments = (config_file, '--work-dir', tmp_path / 'out')
    for options, message in (
        (['--rounds', 0], 'rounds: expected 1 or more'),
        (['--rounds', 2, '--once'], 'would give the same weights each time'),
        (['--checkpoint', 'gone.pth'], 'no checkpoint gone.pth'),
        (['--cfg-options', 'modle.x=1'], "'modle' is no setting of a run"),
    ):
        assert run(run_tool, *arguments, *options) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith('self_train: ')
        assert message in line
