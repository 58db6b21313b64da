import shutil

import pytest


@pytest.fixture
def config_on(tiny_run_config, shapes_world, tmp_path):
    """Config on a copy of the shapes world, and the copy."""
    root = tmp_path / 'world'
    shutil.copytree(shapes_world, root)
    for name in ('train', 'val', 'test'):
        tiny_run_config[f'{name}_dataloader'].dataset.data_root = str(root)
    path = tmp_path / 'config.py'
    tiny_run_config.dump(path)
    return path, root


def test_whole_data(run_tool, config_on, capsys):
    path, _ = config_on
    with pytest.raises(SystemExit) as exit_:
        run_tool('check_dataset.py', path, '--workers', 1)
    assert exit_.value.code == 0
    out, err = capsys.readouterr()
    assert 'panoptic_train.json): nothing is broken' in out
    assert '  8 images read' in out
    assert '  4 images read' in out
    assert 'agree on 100.00 %' in out
    assert 'reading train: 100%' in err


def test_broken_data_is_listed_and_fails(run_tool, config_on, capsys):
    path, root = config_on
    images = sorted((root / 'val').iterdir())
    images[0].unlink()
    images[2].write_bytes(images[2].read_bytes()[:200])
    with pytest.raises(SystemExit) as exit_:
        run_tool('check_dataset.py', path, '--split', 'val', '--workers', 2)
    assert exit_.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    broken = [line for line in lines if line.startswith('broken ')]
    assert len(broken) == 2
    assert str(images[0]) in broken[0]
    assert str(images[2]) in broken[1]
    assert any(line.endswith('panoptic_val.json): 2 broken') for line in lines)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['gone.py'], 'gone.py'),
        (
            ['CONFIG', '--cfg-options', 'nothing.x=1'],
            "'nothing' is no setting",
        ),
        (['CONFIG', '--workers', '0'], 'at least 1 worker, got 0'),
    ],
)
def test_mistakes_end_in_a_sentence(
    run_tool, config_on, capsys, arguments, message
):
    path, _ = config_on
    arguments = [path if word == 'CONFIG' else word for word in arguments]
    with pytest.raises(SystemExit) as exit_:
        run_tool('check_dataset.py', *arguments)
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('check_dataset: ')
    assert message in line
