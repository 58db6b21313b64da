import re

import pytest
from mmengine.config import Config
from PIL import Image

NAMES = {
    'answer',
    'browse',
    'colour_blind',
    'instance',
    'legend',
    'panoptic',
    'semantic',
    'shapes_demo',
    'side_by_side',
}


def test_all_forms_are_drawn(run_tool, config_file, checkpoint, tmp_path):
    out = tmp_path / 'images'
    with pytest.raises(SystemExit) as exit_:
        run_tool(
            'make_docs_pictures.py',
            *('--config', config_file, '--checkpoint', checkpoint),
            *('--out', out),
        )
    assert exit_.value.code == 0
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
    assert max(sizes) < 200_000
    assert sum(sizes) < 1_200_000


def test_weights_are_needed(run_tool, config_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_tool(
            'make_docs_pictures.py',
            *('--config', config_file),
            *('--checkpoint', tmp_path / 'gone.pth'),
        )
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f'make_docs_pictures: no file {tmp_path / "gone.pth"}; run make demo'
    )
