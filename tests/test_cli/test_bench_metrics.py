import json

import pytest

from freeseg_mm.cli import main


def test_table_and_json(tiny_run_config, tmp_path, capsys):
    pytest.importorskip('mmseg')
    config_file = tmp_path / 'tiny_run.py'
    tiny_run_config.dump(config_file)
    out = tmp_path / 'bench.json'
    arguments = ['--images', '2', '--rounds', '1', '--objects', '4']
    status = main(
        ['bench', 'metrics', str(config_file), *arguments, '--out', str(out)]
    )
    assert status == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('2 images, 4 instances in each')
    assert [line.split()[0] for line in lines[2:]] == [
        'semantic',
        'instance',
        'panoptic',
        'all',
    ]
    assert json.loads(out.read_text())['metrics']['semantic']['ours_s'] > 0


def test_mistake_ends_in_a_sentence(tmp_path, capsys):
    status = main(['bench', 'metrics', str(tmp_path / 'gone.py')])
    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('freeseg-mm: ')
    assert 'gone.py' in line
