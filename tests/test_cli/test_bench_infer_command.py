import json

import pytest

from freeseg_mm.cli import main


@pytest.fixture
def run(tiny_config, tmp_path):
    """Run ``bench infer`` on the tiny config; gives the exit status."""
    config = tmp_path / 'tiny.json'
    config.write_text(json.dumps(tiny_config.to_dict()))

    def run(*arguments):
        fast = ('--image-size', '64', '--classes', '3', '--runs', '1')
        return main(['bench', 'infer', str(config), *fast, *arguments])

    return run


def test_prints_tables_and_writes_json(run, tmp_path, capsys):
    out = tmp_path / 'costs.json'
    options = ['--cfg-options', 'model.panoptic_head.num_queries=4']
    more = ['--against', 'reference', '--tasks', 'semantic', '--warmup', '0']
    assert run(*options, *more, '--out', str(out)) == 0
    printed = capsys.readouterr().out
    assert 'pixel decoder' in printed
    result = json.loads(out.read_text())
    assert set(result) == {
        'settings',
        'num_images',
        'images_per_second',
        'sides',
        'ratio',
        'same',
    }
    for name, rate in result['images_per_second'].items():
        seconds = result['sides'][name]['seconds']['total']
        assert rate == pytest.approx(1 / seconds)
        assert f'{name}: {rate:.3g} images a second' in printed
    for side in result['sides'].values():
        assert {'counts', 'macs', 'seconds', 'peak_bytes'} <= set(side)
    assert {'macs', 'seconds'} <= set(result['ratio'])
    settings = result['settings']
    assert settings['cfg_options'] == {'model.panoptic_head.num_queries': 4}
    assert result['sides']['reference']['counts']['CLIP images'] <= 4


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--against', 'nobody'], "--against 'nobody' is neither a config"),
        (['--image-size', '16'], '--image-size 16: expected at least 32'),
        (['--out', 'costs.txt'], 'expected a name ending in .json'),
        (['--out', 'no/costs.json'], 'no folder no'),
        (['--device', 'toaster'], "--device 'toaster'"),
        (['--threads', '0'], '--threads 0: expected at least 1'),
    ],
)
def test_mistakes(run, capsys, arguments, message):
    assert run(*arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert 'Traceback' not in error


def test_options_need_a_value(run, capsys):
    with pytest.raises(SystemExit) as stop:
        run('--cfg-options', 'model.neck')
    assert stop.value.code == 2
    assert 'expected KEY=VALUE' in capsys.readouterr().err
