import json

from freeseg_mm.cli import main


def test_counts_and_writes_json(tiny_config, tmp_path, capsys):
    config, out = tmp_path / 'tiny.json', tmp_path / 'costs.json'
    config.write_text(json.dumps(tiny_config.to_dict()))
    size = ['--image-size', '64', '--classes', '3', '--batch', '1']
    more = ['--against', 'mask2former', '--count-only', '--out', str(out)]
    assert main(['bench', 'train', str(config), *size, *more]) == 0
    assert 'mask2former takes ' in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert set(result) == {'settings', 'sides', 'ratio', 'loss'}
    assert result['settings']['batch'] == 1


def test_mistakes(tiny_config, tmp_path, capsys):
    config = tmp_path / 'tiny.json'
    config.write_text(json.dumps(tiny_config.to_dict()))
    assert main(['bench', 'train', str(config), '--against', 'nobody']) == 1
    assert "--against 'nobody' is neither" in capsys.readouterr().err
