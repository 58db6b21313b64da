import re

import pytest


@pytest.fixture
def analyse(run_tool, capsys, tmp_path):
    """Run the tool; gives exit code, output and errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            run_tool(
                'analyze_tuning.py',
                *arguments,
                '--work-dir',
                tmp_path / 'tested',
            )
        return exit_.value.code, *capsys.readouterr()

    return run


def test_prints_what_became_of_confident_queries(
    analyse, config_file, checkpoint
):
    code, out, err = analyse(
        config_file,
        checkpoint,
        '--cfg-options',
        'model.test_cfg.prompt_tuning.threshold=1.0',
        'model.test_cfg.prompt_tuning.unseen_first=False',
    )
    assert code == 0, err
    tail = out[out.index('confident queries: ') :].splitlines()
    total = int(re.fullmatch(r'confident queries: (\d+)', tail[0])[1])
    counts = [int(re.search(r': (\d+) \(', line)[1]) for line in tail[1:5]]
    assert sum(counts) == total > 0
    assert tail[6].startswith('mean entropy: ')


def test_says_what_is_missing(analyse, config_file, tmp_path):
    code, _, err = analyse(config_file, tmp_path / 'no.pth')
    assert code == 1
    assert err == f'analyze_tuning: no checkpoint {tmp_path / "no.pth"}\n'
