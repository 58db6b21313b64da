import os
import re

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


class Runs:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


TOUCH = "__import__('os').system('touch MARK')"
# config texts; MARK is a file that code in them would make
CODE = {
    'expression': f'x = {TOUCH}',
    'statement': TOUCH,
    'import': 'import os',
    'from_import': 'from os import system',
    'in_list': f'x = [{TOUCH}]',
    'in_dict_call': f'x = dict(a=dict(b={TOUCH}))',
    'as_key': f'x = {{{TOUCH}: 1}}',
    'lambda': f'x = dict(a=(lambda: {TOUCH})())',
    'f_string': f"x = f'{{{TOUCH}}}'",
    'comprehension': f'x = [{TOUCH} for _ in (1,)]',
    'unpacking': f'x = dict(**{{"a": {TOUCH}}})',
    'positional': f'x = dict([{TOUCH}])',
    'default': f'def f(x={TOUCH}):\n    pass',
    'decorator': f'@{TOUCH}\nclass A:\n    pass',
    'annotation': f'x: {TOUCH} = 1',
    'walrus': f'x = (y := {TOUCH})',
    'assert': f'assert {TOUCH}',
    'two_targets': f'x = y = {TOUCH}',
    'subscript': f'x = {TOUCH}\nx[{TOUCH}] = 1',
    'star': f'x = [*{TOUCH}]',
    'power': 'x = 9 ** 9 ** 9',
    'repeated_name': f'x = dict(a={TOUCH}, a=1)',
    'nested': 'x = ' + '[' * 100_000,
    'nul': 'x = 1\0',
    'base': "_base_ = ['MARK.py']",
    'delete': 'x = dict(_delete_=True)',
    'custom_imports': "custom_imports = dict(imports=['evil_module'])",
    'custom_imports_below': "x = dict(custom_imports=dict(imports=['a']))",
    'default_scope': "default_scope = 'evil_module'",
    'scope': "x = dict(_scope_='evil_module', type='ResNet')",
    'reserved': "filename = 'MARK'",
}
COMMAND = "command='touch MARK', args='touch MARK', cmd='touch MARK'"
TYPES = {
    'pipeline': f"test_pipeline = [dict(type='os.system', {COMMAND})]",
    'preprocessor': 'model = dict(data_preprocessor=dict('
    f"type='subprocess.check_call', {COMMAND}))",
    'deep': f"model = dict(a=[dict(b=(dict(type='os.system', {COMMAND}),))])",
    'hook': "custom_hooks = [dict(type='evil_module.Hook')]",
    'loop': "test_cfg = dict(type='evil_module.Loop')",
    'visualizer': "visualizer = dict(type='evil_module')",
    'module': "model = dict(type='evil_module')",
    'scoped_module': "model = dict(type='freeseg_mm.evil_module')",
    'class_of_package': "model = dict(type='freeseg_mm.FreeSegInferencer')",
    'two_dots': "model = dict(type='mmengine.utils.get_object_from_string')",
    'number': 'model = dict(type=1)',
    'builtin': "model = dict(type='eval')",
    # evaluated by mmcv and mmdet, which are given them in good faith
    'nms': f'nms = dict(type="{TOUCH}")',
    'tracker': 'model = dict(train_cfg=dict(assigner=dict('
    f'type="mmdet.CameraMotionCompensation", warp_mode="{TOUCH}")))',
    'teacher': "model = dict(backbone=dict(type='LAD', teacher_config='x'))",
}


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """Make a checkpoint of some content; the file that its code touches."""
    (tmp_path / 'evil_module.py').write_text(
        f'open({str(tmp_path / "marker")!r}, "w")'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path, marker = tmp_path / 'evil.pth', tmp_path / 'marker'

    def make(content):
        torch.save(content, path)
        return path

    yield make, marker
    assert not marker.exists()


@pytest.mark.parametrize('name', [*CODE, *TYPES])
def test_config_of_a_checkpoint_runs_nothing(evil, name):
    make, marker = evil
    text = {**CODE, **TYPES}[name].replace('MARK', str(marker))
    path = make({'state_dict': {}, 'meta': {'cfg': text}})
    with pytest.raises(ValueError, match=re.escape(f'{path}: ')) as caught:
        FreeSegInferencer(path)
    assert '\n' not in str(caught.value)
    assert 'if you trust it, give its config file' in str(caught.value)


def test_pickles_of_a_checkpoint_run_nothing(evil):
    make, marker = evil
    path = make({'state_dict': {}, 'meta': Runs(marker)})
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        FreeSegInferencer(path)


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
        ({'state_dict': {}, 'freeseg_mm': 3}, 'freeseg_mm is a int'),
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
