"""Trainings that are killed while they write a checkpoint go on exactly."""

import json
from pathlib import Path

import pytest
from kill_training import INTERVAL, MOMENTS
from warm_processes import run_warm


@pytest.mark.slow
def test_killed_trainings_end_with_the_same_weights(
    config_file, tmp_path, request
):
    """By SIGKILL, before, within and after the writing of the files."""
    kills = request.config.getoption('--kills') or len(MOMENTS)
    script = Path(__file__).with_name('kill_training.py')
    done = run_warm([script, config_file, tmp_path, kills], timeout=None)
    assert done.returncode == 0, done.stderr[-3000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == kills
    for report in reports:
        assert report['killed'], report
        assert report['equal'], report
        this, last = (
            f'iter_{report["at"] - back}.pth' for back in (0, INTERVAL)
        )
        last = last if report['at'] > INTERVAL else None
        went_on_from = {
            'before': last,
            'within': last,
            'written': last,  # which is noted
            'emptied': this,
            'cut': this,
        }
        if report['moment'] != 'outside':
            assert report['latest'] == went_on_from[report['moment']], report
    assert {x['moment'] for x in reports} == set(MOMENTS[:kills])
