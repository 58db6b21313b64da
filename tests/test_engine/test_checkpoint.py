import re
import zipfile

import pytest
import torch
from inference_fixtures import *  # noqa: F403
from mmengine.config import Config
from safetensors.torch import save_file

from freeseg_mm import FreeSegInferencer
from freeseg_mm.engine.checkpoint import (
    WeightsInfo,
    build_model,
    latest_checkpoint,
)
from freeseg_mm.engine.config_data import parse_config


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint .*gone\.pth'):
        WeightsInfo.read(tmp_path / 'gone.pth')


def test_model_has_the_weights_and_leaves_the_config(tiny_weights):
    path, checkpoint = tiny_weights
    config = Config.fromfile(path)
    config.model.backbone.init_cfg = {
        'type': 'Pretrained',
        'checkpoint': 'gone.pth',
    }
    weights = WeightsInfo.read(checkpoint)

    model = build_model(config, weights, 'cpu')

    assert not model.training
    assert config.model.backbone.init_cfg.checkpoint == 'gone.pth'
    state = weights.content['state_dict']
    assert model.state_dict().keys() == state.keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize('name', ['shapes', 'ade20k'])
def test_config_as_data_is_the_config(repo, name):
    config = Config.fromfile(repo / f'configs/freeseg/{name}.py')
    config._format_python_code = False
    expected = config.to_dict()
    del expected['custom_imports']
    if name == 'ade20k':
        expected['model']['backbone']['init_cfg'] = None
    assert parse_config(config.pretty_text).to_dict() == expected


def test_keys_that_are_no_names_are_data():
    text = "x = {'a-b': -1, 'c': (None, {1: 2.5})}"
    assert parse_config(text).x == {'a-b': -1, 'c': (None, {1: 2.5})}


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ([], "has no 'state_dict'"),
        ({'state_dict': []}, 'state_dict is a list, expected a dictionary'),
        ({'state_dict': {'a': 1}}, "entry 'a' of its state_dict is no dense"),
        ({'state_dict': {1: torch.ones(1)}}, 'entry 1 of its state_dict'),
        ({'state_dict': {}, 'meta': 'x'}, 'meta is a str'),
        (
            {'state_dict': {}, 'meta': {'dataset_meta': 3}},
            r"meta\['dataset_meta'\] is a int",
        ),
        (
            {'state_dict': {'a': torch.nested.nested_tensor([torch.ones(1)])}},
            "entry 'a' of its state_dict is no dense",
        ),
        ({'state_dict': {}, 'freeseg_mm': 3}, 'freeseg_mm is a int'),
        ({'state_dict': {}, 'freeseg_mm': None}, 'freeseg_mm is a NoneType'),
        (
            {'state_dict': {}, 'freeseg_mm': {'clip': 3}},
            r"freeseg_mm\['clip'\] is 3, expected text",
        ),
    ],
)
def test_content_of_another_kind_is_named(tmp_path, content, words):
    path = tmp_path / 'odd.pth'
    torch.save(content, path)
    with pytest.raises(ValueError, match=f'{re.escape(str(path))}.*{words}'):
        WeightsInfo.read(path)


@pytest.mark.parametrize(
    ('meta', 'words'),
    [
        ({'cfg': 3}, 'the config is .3., expected text'),
        ({'cfg': 'a = 1'}, "lacks a 'model'"),
        ({}, 'does not carry its config'),
    ],
)
def test_config_of_another_kind_is_named(tmp_path, meta, words):
    path = tmp_path / 'odd.pth'
    torch.save({'state_dict': {}, 'meta': meta}, path)
    with pytest.raises(ValueError, match=f'{re.escape(str(path))}.*{words}'):
        FreeSegInferencer(path)


@pytest.mark.parametrize(
    'vocabulary', [{'names': 3}, torch.ones(2, 3), [], 'cat', None]
)
def test_damaged_vocabulary_names_the_file(tmp_path, vocabulary):
    path = tmp_path / 'odd.pth'
    meta = {'dataset_meta': {'vocabulary': vocabulary}}
    torch.save({'state_dict': {}, 'meta': meta}, path)
    with pytest.raises(ValueError, match=r'odd\.pth: its vocabulary is'):
        _ = WeightsInfo.read(path).vocabulary


def test_flipped_byte_is_found(tmp_path):
    path = tmp_path / 'flipped.pth'
    torch.save({'state_dict': {'a': torch.zeros(10_000)}}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'flipped\.pth.*data/0.*checksum'):
        WeightsInfo.read(path)


@pytest.mark.parametrize('fault', ['compressed', 'occurs 2 times'])
def test_archives_that_torch_does_not_write_are_refused(tmp_path, fault):
    """Readers differ in which of two entries of one name they take."""
    path = tmp_path / 'odd.pth'
    torch.save({'state_dict': {}}, path)
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    kind = zipfile.ZIP_STORED
    if fault == 'compressed':
        kind = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, 'w', kind) as file:
        for name, content in entries.items():
            file.writestr(name, content)
        if kind == zipfile.ZIP_STORED:
            with pytest.warns(UserWarning, match='Duplicate name'):
                file.writestr('odd/data.pkl', entries['odd/data.pkl'])
    with pytest.raises(ValueError, match=rf'odd\.pth: .*data\.pkl.*{fault}'):
        WeightsInfo.read(path)


@pytest.mark.parametrize('content', [b'', b'<html>', b'version https://git'])
def test_other_files_are_no_archive(tmp_path, content):
    path = tmp_path / 'page.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'page\.pth: .*no whole archive'):
        WeightsInfo.read(path)


def test_safetensors_alone_are_no_checkpoint(tmp_path):
    path = tmp_path / 'model.safetensors'
    save_file({'a': torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r'model\.safetensors: not a check'):
        FreeSegInferencer(path)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_are_finite(tiny_weights, tmp_path, value):
    config, weights = tiny_weights
    content = torch.load(weights, weights_only=True)
    name = next(iter(content['state_dict']))
    content['state_dict'][name] = torch.full_like(
        content['state_dict'][name], value
    )
    path = tmp_path / 'nan.pth'
    torch.save(content, path)
    words = rf'nan\.pth: {re.escape(name)} holds NaN or infinities'
    with pytest.raises(ValueError, match=words):
        FreeSegInferencer(config, path, device='cpu')


def whole(path):
    torch.save({'state_dict': {}}, path)


@pytest.mark.parametrize('note', ['', 'iter_9', '/gone/iter_10.pth\n', '\0'])
def test_latest_checkpoint_is_the_newest_whole_one(tmp_path, note):
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text(note)
    assert latest_checkpoint(tmp_path) is None
    for name in ('iter_2', 'iter_9', 'best_12', 'iter_x'):
        whole(tmp_path / f'{name}.pth')
    content = (tmp_path / 'iter_9.pth').read_bytes()
    (tmp_path / 'iter_10.pth').write_bytes(content[:-50])
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_9.pth'


def test_the_noted_checkpoint_comes_first(tmp_path):
    for name in ('iter_2', 'iter_9'):
        whole(tmp_path / f'{name}.pth')
    (tmp_path / 'last_checkpoint').write_text('/moved/iter_2.pth')
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_2.pth'
    path = tmp_path / 'elsewhere' / 'iter_5.pth'
    path.parent.mkdir()
    whole(path)
    (tmp_path / 'last_checkpoint').write_text(str(path))
    assert latest_checkpoint(tmp_path) == path


def test_config_that_a_resume_would_run_is_refused(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save({'state_dict': {}, 'meta': {'config': 'a = 1'}}, path)
    with pytest.raises(ValueError, match=r"old\.pth: its meta holds 'config'"):
        WeightsInfo.read(path)
