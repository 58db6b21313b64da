import pytest
from PIL import Image


@pytest.mark.parametrize('is_old', [False, True])
def test_pictures_of_a_test_are_written(
    tiny_run_config, checkpoint, run_tool, tmp_path, is_old
):
    # mmengine keeps visualizers by name
    tiny_run_config.visualizer.name = tmp_path.name
    if is_old:  # as in configs that older checkpoints were trained with
        del tiny_run_config.default_hooks.visualization
    config = tmp_path / 'run.py'
    tiny_run_config.dump(config)
    run_tool('test.py', config, checkpoint, '--show-dir', 'shown')
    (folder,) = (tmp_path / 'work_dir').glob('*/shown')
    files = sorted(folder.iterdir())
    assert len(files) == 4
    for path in files:
        with Image.open(path) as picture:
            # a row for each task, enlarged
            assert picture.height > 3 * 384


def test_nothing_is_drawn_unless_asked(
    tiny_run_config, checkpoint, run_tool, tmp_path
):
    tiny_run_config.visualizer.name = tmp_path.name
    config = tmp_path / 'run.py'
    tiny_run_config.dump(config)
    run_tool('test.py', config, checkpoint)
    assert not list((tmp_path / 'work_dir').rglob('*.png'))
