import re
import runpy
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from freeseg_mm.structures import Vocabulary

NAMES = {
    'prediction',
    'browse',
    'colour_blind',
    'compare',
    'instance',
    'legend',
    'panoptic',
    'semantic',
    'shapes_demo',
    'side_by_side',
}


@pytest.fixture(scope='module')
def script(repo):
    """Functions of the script, by name."""
    return runpy.run_path(str(repo / 'docs/site/pictures.py'))


def test_all_forms_are_drawn(run_tool, config_file, checkpoint, tmp_path):
    out = tmp_path / 'images'
    run_tool(
        '../docs/site/pictures.py',
        *('--config', config_file, '--checkpoint', checkpoint),
        *('--out', out),
    )
    assert {path.stem for path in out.iterdir()} == NAMES
    sizes = {}
    for path in out.iterdir():
        assert path.suffix == '.png'
        with Image.open(path) as picture:
            sizes[path.stem] = picture.size
    # scenes of 64 pixels, twice as large, by three visions
    assert sizes['colour_blind'] == (3 * 128 + 2 * 6, 128)
    assert sizes['side_by_side'][1] > 3 * 128


def test_the_documents_show_each(repo):
    text = (repo / 'docs/pictures.md').read_text('utf-8')
    for name in NAMES:
        assert f'(images/{name}.png)' in text
        assert (repo / f'docs/images/{name}.png').is_file()


def test_config_of_the_documents_switches_pictures_on(repo, tmp_path):
    text = (repo / 'docs/pictures.md').read_text('utf-8')
    (snippet,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    path = tmp_path / 'drawn.py'
    path.write_text(snippet.replace("['configs", f"['{repo}/configs"))
    config = Config.fromfile(path)
    hook = config.default_hooks.visualization
    assert (hook.type, hook.draw) == ('DetVisualizationHook', True)
    assert config.visualizer.type == 'freeseg_mm.FreeSegVisualizer'
    backends = [backend.type for backend in config.visualizer.vis_backends]
    assert backends == ['LocalVisBackend', 'TensorboardVisBackend']


def test_pictures_of_the_documents_are_small(repo):
    sizes = [p.stat().st_size for p in repo.glob('docs/images/*.png')]
    assert max(sizes) < 250_000
    assert sum(sizes) < 1_200_000


def test_weights_are_needed(run_tool, config_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_tool(
            '../docs/site/pictures.py',
            *('--config', config_file),
            *('--checkpoint', tmp_path / 'gone.pth'),
        )
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f'pictures: no file {tmp_path / "gone.pth"}; run make demo'
    )


def test_data_without_unseen_classes_are_refused(script):
    record = {'segments': [{'label': 0}]}

    class Seen:
        vocabulary = Vocabulary.from_names(['cat'], unseen=())
        get_data_info = staticmethod(lambda index: record)
        __len__ = staticmethod(lambda: 2)

    with pytest.raises(ValueError, match='no test image shows an unseen'):
        next(script['docs_pictures'](SimpleNamespace(), Seen(), Seen()))


def test_three_visions_stand_side_by_side(script):
    picture = np.full((4, 5, 3), [255, 0, 0], np.uint8)
    seen = script['as_seen'](picture)
    assert seen.shape == (4, 3 * 5 + 2 * 6, 3)
    np.testing.assert_array_equal(seen[:, :5], picture)
    assert (seen[:, 5:11] == 0).all()
    # red, to who lacks green cones, then red ones: 0.367 and 0.280 of it,
    # 0.152 and 0.115 as linear light, on the curve of sRGB
    np.testing.assert_allclose(seen[0, 11], [163, 144, 0], atol=1)
    np.testing.assert_allclose(seen[0, 22], [109, 95, 0], atol=1)


def test_few_colours_are_kept_exactly(script, tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = [250, 10, 120]
    script['write_small_png'](picture, tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as file:
        assert file.mode == 'P'
        np.testing.assert_array_equal(np.asarray(file.convert('RGB')), picture)


def test_many_colours_become_few_and_near(script, tmp_path):
    ramp = np.linspace(0, 255, 64).round().astype(np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 128), axis=-1)
    picture = picture.astype(np.uint8)
    script['write_small_png'](picture, tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.png') as file:
        found = np.asarray(file.convert('RGB')).astype(int)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(found - picture).mean() < 32
