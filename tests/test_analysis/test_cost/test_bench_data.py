import json
from dataclasses import replace

import pytest

from freeseg_mm.analysis.cost.data import measure_data
from freeseg_mm.analysis.cost.options import DataOptions
from freeseg_mm.cli import main


@pytest.fixture
def options(tiny_run_config, tmp_path):
    path = tmp_path / 'run.py'
    tiny_run_config.dump(path)
    return DataOptions(config=str(path), images=10)


def test_each_transform_has_its_share(options, tiny_run_config):
    shown = []
    result = measure_data(options, shown.append)
    pipeline = tiny_run_config.train_dataloader.dataset.pipeline
    names = [each.type.removeprefix('freeseg_mm.') for each in pipeline]
    for kind in ('seconds', 'cpu_seconds'):
        *parts, total = result[kind].items()
        assert [name for name, _ in parts] == [*names, 'other']
        assert sum(value for _, value in parts) == pytest.approx(total[1])
        assert result[kind]['LoadPanopticSegments'] > 0
    rate = result['images_per_second']
    assert rate == pytest.approx(1 / result['seconds']['total'])
    assert shown[0].endswith(f'one worker loads {rate:.1f} images a second')


def test_data_of_another_loader(options):
    seconds = measure_data(replace(options, loader='test'), lambda _: None)[
        'seconds'
    ]
    assert 'LoadPanopticSegments' not in seconds
    assert 'PackDetInputs' in seconds


def test_command(options, tmp_path, capsys):
    out = tmp_path / 'costs.json'
    few = ['--images', '2', '--out', str(out)]
    assert main(['bench', 'data', options.config, *few]) == 0
    assert 'RandomCrop' in capsys.readouterr().out
    assert json.loads(out.read_text())['settings']['images'] == 2


def test_refuses(options):
    with pytest.raises(ValueError, match='--images 0: expected at least 1'):
        replace(options, images=0)
    with pytest.raises(ValueError, match='no speed_dataloader'):
        measure_data(replace(options, loader='speed'))
