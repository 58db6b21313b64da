import pytest
from inference_fixtures import *  # noqa: F403

from freeseg_mm.datasets.from_config import read_config
from freeseg_mm.recipes.self_training import Labelling, PseudoLabelSettings


def test_prints_a_line_for_each_threshold(
    run_tool, config_file, tiny_weights, tmp_path, capsys
):
    Labelling(
        read_config(config_file),
        tiny_weights[1],
        tmp_path / 'out',
        PseudoLabelSettings(score_thr=0.0, min_area=0),
        limit=2,
        num_pictures=0,
        num_workers=0,
        device='cpu',
    ).run()
    with pytest.raises(SystemExit) as exit_:
        run_tool(
            'score_pseudo_labels.py',
            *(config_file, tmp_path / 'out', '--score-thr', 0, 0.5),
        )
    assert exit_.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'true segments of unseen classes' in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ['0.00', '0.50']


def test_missing_labels_end_in_a_sentence(
    run_tool, config_file, tmp_path, capsys
):
    with pytest.raises(SystemExit) as exit_:
        run_tool('score_pseudo_labels.py', config_file, tmp_path / 'gone')
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('score_pseudo_labels: no pseudo labels in')
