"""The snippets of docs/inference.md run, one after the other."""

import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from inference_fixtures import *  # noqa: F403
from PIL import Image

from freeseg_mm.cli import main
from freeseg_mm.models.predict_options import PredictOverrides

REPO = Path(__file__).resolve().parent.parent
TEXT = (REPO / 'docs/inference.md').read_text('utf-8')


class Detections(SimpleNamespace):
    """Takes what supervision's class takes, when that is not installed."""

    @classmethod
    def empty(cls):
        return cls(xyxy=[], data={})


def snippets(language):
    return re.findall(rf'```{language}\n(.*?)```', TEXT, re.DOTALL)


def commands():
    text = '\n'.join(snippets('bash')).replace('\\\n', ' ')
    return [
        line for line in text.splitlines() if line.startswith('freeseg-mm ')
    ]


@pytest.fixture
def checkout(
    tiny_weights, shapes_world, make_video, noise, tmp_path, monkeypatch
):
    """A folder with what the demo leaves behind, scenes, a video, a photo."""
    monkeypatch.chdir(tmp_path)
    make_video([noise(seed=seed) for seed in range(7)], 'clip.mp4')
    train = tmp_path / 'work_dirs/demo/train'
    train.mkdir(parents=True)
    shutil.copy(tiny_weights[0], train.parent / 'config.py')
    shutil.copy(tiny_weights[1], train / 'iter_1500.pth')
    (train / 'last_checkpoint').write_text(str(train / 'iter_1500.pth'))
    scenes = tmp_path / 'data/shapes/val'
    scenes.mkdir(parents=True)
    for old, new in {'000001': '000007', '000002': '000008'}.items():
        shutil.copy(shapes_world / f'val/{old}.jpg', scenes / f'{new}.jpg')
    shutil.copy(shapes_world / 'vocabulary.json', tmp_path / 'data/shapes')
    # longer than a tile of --tile 1024
    Image.fromarray(noise(96, 1100)).save('large.jpg')
    return tmp_path


def test_example_of_the_readme(checkout, capsys):
    readme = (REPO / 'README.md').read_text('utf-8')
    (code,) = re.findall(r'```python\n(.*?)```', readme, re.DOTALL)
    names = {}
    exec(code, names)

    assert names['result'].label_map.shape == (64, 64)
    assert len(names['result'].vocabulary) == 4
    with Image.open('prediction.png') as picture:
        assert picture.width > 4 * 64

    (command,) = re.findall(r'^freeseg-mm (predict .*)$', readme, re.MULTILINE)
    shutil.copy('data/shapes/val/000007.jpg', 'photo.jpg')
    assert main(shlex.split(command)) == 0
    assert list(Path('predictions').iterdir())


def test_there_are_snippets():
    assert len(snippets('python')) >= 9
    assert len(commands()) >= 10


def test_python_snippets(checkout, monkeypatch, capsys):
    pytest.importorskip('mmseg')
    try:
        import supervision  # noqa: F401
    except ImportError:
        fake = SimpleNamespace(Detections=Detections)
        monkeypatch.setitem(sys.modules, 'supervision', fake)
    names = {}
    for snippet in snippets('python'):
        exec(snippet, names)
    out = capsys.readouterr().out
    assert 'grass stuff' in out
    assert 'dragon thing' in out
    assert out.count('data/shapes/val/00000') >= 2
    for name in ('prediction.png', 'answer.json', 'answer_panoptic.png'):
        assert Path(name).is_file()
    assert '\n0 0.0 ' in out  # frames of the video
    assert '\n5 1.0 ' in out
    assert names['painted'].size == (64, 48)
    assert "('prompt " in out
    with Image.open('answers/mmdet/vis/000007.jpg') as picture:
        assert picture.width >= 64
    (result,) = names['inferencer'](
        names['photo'], names['words'], score_thr=0.0
    )
    assert (names['label_map'] == result.label_map).all()
    ours = names['sample'].pred_sem_seg.sem_seg[0].numpy()
    assert (ours == result.label_map).all()


def test_backend_of_label_studio(checkout):
    client = pytest.importorskip('fastapi.testclient')
    names = {}
    (code,) = (x for x in snippets('python') if 'label_studio_backend' in x)
    exec(code, names)
    client = client.TestClient(names['app'])
    assert client.get('/health').json()['status'] == 'UP'
    assert client.post('/setup', json={}).status_code == 200
    path = Path('data/shapes/val/000007.jpg').resolve()
    request = {
        'tasks': [
            {'id': 1, 'data': {'image': f'/data/local-files/?d={path}'}}
        ],
        'label_config': '<View><PolygonLabels><Label value="green disc"/>'
        '<Label value="dragon"/></PolygonLabels></View>',
        'project': '1',
    }
    (prediction,) = client.post('/predict', json=request).json()['results']
    assert prediction['result']
    for region in prediction['result']:
        assert region['value']['polygonlabels'][0] in ('green disc', 'dragon')
        assert len(region['value']['points']) > 2
        assert 0 <= region['score'] <= 1


@pytest.mark.parametrize('line', commands())
def test_commands(checkout, line, capsys):
    assert main(shlex.split(line)[1:]) == 0
    captured = capsys.readouterr()
    assert captured.out
    if '--out answers --format coco' in line:
        assert len(list(Path('answers/geojson').iterdir())) == 2
        assert len(list(Path('answers/yolo/labels').iterdir())) == 2
        assert Path('answers/cvat/annotations.xml').is_file()
    elif '--out answers' in line:
        assert Path('answers/pictures/000007.png').is_file()
        assert Path('answers/panoptic.json').is_file()
    if '--out painted.mp4' in line:
        assert Path('painted.mp4').is_file()


def test_fields_that_are_named_exist():
    fields = re.findall(
        r'`(\w+_thr|min_object_prob|max_per_image|mode|\w*seen_weight|clip_trust'
        r'|\w+_rule|overlap_pixels|\w+_ranking|empty_masks|aligned_corners'
        r'|resized|negatives|templates|raw)`',
        TEXT,
    )
    known = PredictOverrides.__annotations__.keys()
    assert set(fields) == known - {'tasks', 'prompt_tuning'}
