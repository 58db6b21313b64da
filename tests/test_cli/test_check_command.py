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


def test_whole_data(run, config_on):
    path, _ = config_on
    status, out, err = run('check', path, '--workers', 1)
    assert status == 0
    assert 'panoptic_train.json): nothing is broken' in out
    assert '  8 images read' in out
    assert '  4 images read' in out
    assert 'agree on 100.00 %' in out
    assert 'reading train: 100%' in err


def test_broken_data_is_listed_and_fails(run, config_on):
    path, root = config_on
    images = sorted((root / 'val').iterdir())
    images[0].unlink()
    images[2].write_bytes(images[2].read_bytes()[:200])
    status, out, _ = run('check', path, '--split', 'test', '--workers', 2)
    assert status == 1
    lines = out.splitlines()
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
def test_mistakes_end_in_a_sentence(run, config_on, arguments, message):
    path, _ = config_on
    arguments = [path if word == 'CONFIG' else word for word in arguments]
    status, _, err = run('check', *arguments)
    assert status == 1
    (line,) = err.splitlines()
    assert line.startswith('freeseg-mm check: ')
    assert message in line


def test_a_config_without_loaders_is_refused(run, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("default_scope = 'mmdet'\n")
    status, _, err = run('check', path)
    assert status == 1
    assert 'the config has no loader, so there is nothing to check' in err
