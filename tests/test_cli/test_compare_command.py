import numpy as np
import pytest
import torch
from fcclip_case import fcclip_config, fcclip_state
from PIL import Image

from freeseg_mm import FreeSegInferencer
from freeseg_mm.visualization import comparison
from freeseg_mm.zoo.models import find_zoo_model

CLASSES = ['--classes', 'cat, dragon, grass', '--unseen', 'dragon']


@pytest.fixture
def compare(tiny_weights, run):
    """Run the command on the tiny model; status, output, errors."""
    config, weights = tiny_weights

    def compare(*words):
        return run(
            *('compare', *words, '--device', 'cpu'),
            *('--config', config, '--checkpoint', weights),
        )

    return compare


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def expected_figure(inferencer, photo, tasks=None):
    """What the two sides give to who predicts them from Python."""
    words = ['cat', 'dragon', 'grass']
    ours, clip = (
        inferencer(photo, words, unseen=['dragon'], tasks=tasks, **options)[0]
        for options in ({}, {'mode': 'clip'})
    )
    sides = {'FreeSeg': ours.regions(), 'CLIP alone': clip.regions()}
    return comparison(ours.image, sides, ours.vocabulary), sides


@pytest.mark.parametrize('tasks', [None, ['panoptic']], ids=['all', 'one'])
def test_figure_has_both_sides(
    compare, photo, tmp_path, tiny_inferencer, tasks
):
    out = tmp_path / 'new' / 'figure.png'
    given = ['--tasks', *tasks] if tasks else []
    status, text, _ = compare(photo, *CLASSES, '--out', out, *given)
    assert (status, text) == (0, f'wrote {out}\n')
    figure, sides = expected_figure(tiny_inferencer, photo, tasks)
    np.testing.assert_array_equal(read(out), figure)
    ours, clip = (
        [(x.label, x.score) for views in side.values() for x in views.regions]
        for side in sides.values()
    )
    assert ours
    assert ours != clip


def test_tuning_leaves_clip_as_it_is(compare, photo, tmp_path, monkeypatch):
    asked = []
    predict = FreeSegInferencer.__call__

    def listen(self, *args, **options):
        asked.append(options)
        return predict(self, *args, **options)

    monkeypatch.setattr(FreeSegInferencer, '__call__', listen)
    out = tmp_path / 'figure.png'
    assert compare(photo, *CLASSES, '--out', out, '--prompt-tuning')[0] == 0
    clip, ours = asked
    assert clip['mode'] == 'clip'
    assert clip['prompt_tuning'] is False
    assert not {'mode', 'prompt_tuning'} & set(ours)


def test_model_of_the_zoo(run, tmp_path, monkeypatch, photo):
    config = fcclip_config(tmp_path / 'clip.pt')
    config.zoo.vocabulary = str(tmp_path / 'trained.json')
    (tmp_path / 'trained.json').write_text('{"classes": ["cat", "grass"]}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('FREESEG_MM_HOME', str(tmp_path / 'home'))
    path = tmp_path / 'configs/zoo/small_fcclip.py'
    path.parent.mkdir(parents=True)
    config.dump(path)
    torch.save(fcclip_state(), 'fcclip.pth')
    find_zoo_model('small_fcclip').get(tmp_path / 'fcclip.pth')

    status, text, errors = run(
        *('compare', photo, '--classes', 'cat, dragon', '--device', 'cpu'),
        *('--config', 'small_fcclip', '--out', 'figure.png'),
        *('--tasks', 'panoptic'),
    )

    assert (status, text) == (0, 'wrote figure.png\n'), errors
    assert read('figure.png').shape[1] > 3 * 384


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (
            ['PHOTO', '--out', 'a.jpg'],
            'a.jpg: expected a name that ends in ',
        ),
        (['FOLDER', '--out', 'a.png'], ': expected one image'),
        (['no.png', '--out', 'a.png'], 'no such file or folder: no.png'),
        (['PHOTO', '--out', 'PHOTO'], 'would take the place of the image'),
        (['PHOTO', '--out', 'a.png', '--score-thr', '3'], 'score_thr: expec'),
    ],
)
def test_mistakes_are_one_sentence(compare, photo, words, message):
    paths = {'PHOTO': photo, 'FOLDER': photo.parent}
    named = [paths.get(word, word) for word in words]
    status, _, errors = compare(*named, *CLASSES)
    assert status == 1
    (line,) = errors.splitlines()
    assert line.startswith('freeseg-mm compare: ')
    assert message in line


def test_model_without_clip_is_refused(run, tiny_run_config, photo, tmp_path):
    model = tiny_run_config.model
    model.mask_classifier = None
    model.test_cfg.ensemble = {'mode': 'query'}
    tiny_run_config.dump(tmp_path / 'config.py')
    status, _, errors = run(
        *('compare', photo, *CLASSES, '--out', tmp_path / 'a.png'),
        *('--config', tmp_path / 'config.py', '--checkpoint', 'random'),
        *('--device', 'cpu'),
    )
    assert status == 1
    assert "mode 'clip' needs a mask_classifier" in errors
    assert not (tmp_path / 'a.png').exists()
