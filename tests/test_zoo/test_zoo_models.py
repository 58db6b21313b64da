"""From a name to a checkpoint that is used like any other."""

import hashlib
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

from freeseg_mm import FreeSegInferencer
from freeseg_mm.apis.model_names import default_model, model_names
from freeseg_mm.zoo.models import (
    ZooModel,
    best_zoo_model,
    convert_file,
    find_zoo_model,
    zoo_facts,
    zoo_home,
    zoo_models,
)


def load(path):
    return torch.load(path, weights_only=True)


def test_fetched_weights_are_the_original_ones(tiny_zoo):
    digest = find_zoo_model('tiny').get()
    content, original = load(tiny_zoo.checkpoint), load(tiny_zoo.weights)
    assert content['state_dict'].keys() == original['state_dict'].keys()
    for name, value in original['state_dict'].items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(content['state_dict'][name], value), name
    # what a checkpoint of a training says, too
    meta = content['meta']['dataset_meta']
    assert meta['classes'][:2] == ('aeroplane', 'bicycle')
    assert content['freeseg_mm']['clip'] == original['freeseg_mm']['clip']
    assert zoo_facts(tiny_zoo.checkpoint) == {
        'layout': 'released',
        'file': 'tiny_released.pth',
        'sha256': digest,
        'source': 'a test',
        'licence': 'Apache-2.0',
    }
    served = tiny_zoo.original.read_bytes()
    assert digest == hashlib.sha256(served).hexdigest()


def test_its_name_is_enough(tiny_zoo, released_weights, noise):
    find_zoo_model('tiny').get()
    inferencer = FreeSegInferencer('tiny', device='cpu')
    assert inferencer.trained_on.name == 'voc20'
    original = FreeSegInferencer(*released_weights, device='cpu')
    image, classes = noise(), ['cat', 'zebra', 'lawn', 'sky']
    things = ['cat', 'zebra']
    ours, expected = (
        one(image, classes, things=things, unseen=['sky'])[0].label_map
        for one in (inferencer, original)
    )
    np.testing.assert_array_equal(ours, expected)


def test_checkpoint_stands_alone(tiny_zoo, noise):
    """Its config is in it, for where no config file is."""
    find_zoo_model('tiny').get()
    tiny_zoo.config.unlink()
    inferencer = FreeSegInferencer(tiny_zoo.checkpoint, device='cpu')
    assert inferencer(noise(), ['cat', 'sky'])[0].label_map.shape == (48, 64)


def test_a_file_on_this_machine(tiny_zoo):
    find_zoo_model('tiny').get(tiny_zoo.original)
    assert tiny_zoo.server.requests == []
    assert tiny_zoo.checkpoint.is_file()


def test_another_file_is_refused(tiny_zoo):
    text = tiny_zoo.config.read_text()
    tiny_zoo.config.write_text(
        text.replace("'sha256': None", "'sha256': '0a1b2c3d'")
    )
    model = find_zoo_model('tiny')
    with pytest.raises(
        ValueError, match='weights of tiny begin with 0a1b2c3d'
    ):
        model.get(tiny_zoo.original)
    with pytest.raises(ValueError, match='and not 0a1b2c3d'):
        model.get()
    assert not tiny_zoo.checkpoint.exists()
    with pytest.raises(FileNotFoundError, match='no file nowhere.pth'):
        model.get(tiny_zoo.root.__class__('nowhere.pth'))


def test_equal_inputs_give_equal_bytes(tiny_zoo, tmp_path):
    files = [tmp_path / name for name in ('a.pth', 'other.pth')]
    for file in files:
        convert_file(
            tiny_zoo.original,
            'released',
            Config.fromfile(tiny_zoo.config),
            file,
        )
    assert files[0].read_bytes() == files[1].read_bytes()
    # the order of names in the original plays no role
    content = load(tiny_zoo.original)
    content['model'] = dict(reversed(content['model'].items()))
    torch.save(content, tiny_zoo.original)
    convert_file(
        tiny_zoo.original, 'released', Config.fromfile(tiny_zoo.config),
        files[1], zoo_facts(files[0])['sha256'],
    )  # fmt: skip
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_file_that_does_not_fit_leaves_nothing(tiny_zoo, tmp_path):
    content = load(tiny_zoo.original)
    del content['model']['sem_seg_head.predictor.query_feat.weight']
    torch.save(content, tiny_zoo.original)
    with pytest.raises(
        ValueError,
        match='original.pth: the file does not fit the config: the file lacks '
        '1 parameters: panoptic_head.query_feat.weight',
    ):
        convert_file(
            tiny_zoo.original,
            'released',
            Config.fromfile(tiny_zoo.config),
            tmp_path / 'new/out.pth',
        )
    assert not (tmp_path / 'new').exists()


def test_random_clip_leaves_no_fingerprint(tiny_zoo, tmp_path):
    config = Config.fromfile(tiny_zoo.config)
    config.model.clip.pretrained = 'random'
    convert_file(tiny_zoo.original, 'released', config, tmp_path / 'a.pth')
    assert 'freeseg_mm' not in load(tmp_path / 'a.pth')


def test_without_an_index_the_training_data_name_the_vocabulary(
    tiny_zoo, tmp_path
):
    config = Config.fromfile(tiny_zoo.config)
    config.pop('zoo')
    config.train_dataloader.dataset.vocabulary = 'ade20k150'
    convert_file(tiny_zoo.original, 'released', config, tmp_path / 'a.pth')
    meta = load(tmp_path / 'a.pth')['meta']
    assert meta['dataset_meta']['vocabulary']['name'] == 'ade20k150'
    assert meta['zoo']['licence'] is None


def test_what_is_not_fetched_says_how(tiny_zoo):
    with pytest.raises(
        ValueError,
        match=r'no weights for tiny: .*`freeseg-mm models get tiny`',
    ):
        FreeSegInferencer('tiny')


def test_names(tiny_zoo):
    assert {'tiny', 'fcclip_convnext_large', 'coco', 'demo'} <= set(
        model_names()
    )
    with pytest.raises(KeyError, match="no model 'tini' in the zoo; .*tiny"):
        find_zoo_model('tini')


def add(zoo, name, reported):
    """Index the tiny model once more, and fetch it."""
    text = zoo.config.read_text()
    (old,) = re.findall(r"'reported': {.*}}", text)
    text = text.replace(old, f"'reported': {reported}}}")
    (zoo.config.parent / f'{name}.py').write_text(text)
    checkpoint = zoo.home / f'models/{name}.pth'
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.touch()


def test_the_best_model_that_is_here(tiny_zoo):
    assert best_zoo_model() is None
    for name, reported, best in [
        ('closed_b', {'coco': {'PQ': 57.0}}, 'closed_b'),
        ('closed_a', {'coco': {'PQ': 52.0}}, 'closed_b'),
        ('open_a', {'ade20k': {'PQ': 17.9}, 'coco': {'PQ': 40.0}}, 'open_a'),
        ('open_b', {'ade20k': {'PQ': 17.8}, 'coco': {'PQ': 50.0}}, 'open_a'),
        ('unknown', {}, 'open_a'),
    ]:
        add(tiny_zoo, name, reported)
        assert best_zoo_model().name == best
        assert default_model() == best


def test_the_demo_comes_last(tiny_zoo, monkeypatch):
    monkeypatch.setattr(
        'freeseg_mm.apis.model_names.config_roots', lambda: [tiny_zoo.root]
    )
    with pytest.raises(
        FileNotFoundError,
        match='`freeseg-mm models get fcclip_convnext_large` fetches one',
    ):
        default_model()
    demo = tiny_zoo.root / 'work_dirs/demo/config.py'
    demo.parent.mkdir(parents=True)
    demo.touch()
    assert default_model() == 'demo'
    add(tiny_zoo, 'other', {})
    assert default_model() == 'other'


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv('FREESEG_MM_HOME', '~/x')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert zoo_home() == tmp_path / 'x'
    monkeypatch.delenv('FREESEG_MM_HOME')
    assert zoo_home() == tmp_path / '.cache/freeseg_mm'


def test_an_index_that_lacks_an_entry(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text("zoo = dict(url='http://a/b')")
    with pytest.raises(
        ValueError, match=r'a.py: expected zoo = dict\(...\) wi'
    ):
        ZooModel.read(path)


def test_the_index_of_the_package(repo, monkeypatch):
    monkeypatch.chdir(repo)
    models = {model.name: model for model in zoo_models()}
    assert len(models) == 17
    hashed = [m for m in models.values() if m.layout == 'mmdet']
    assert len(hashed) == 12
    for model in hashed:
        # OpenMMLab ends a file's name with the first digits of its hash
        assert model.url.endswith(f'-{model.sha256}.pth')
    addresses = {model.url for model in models.values()}
    assert len(addresses) == 5 + 6
