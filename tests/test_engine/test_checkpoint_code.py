"""Checkpoints of attackers, at every door where weights come in.

None of them may run anything: no file of theirs appears, and each is refused
in a sentence that names it.
"""

import builtins
import functools
import importlib
import io
import os
import pickle
import re
import runpy
import sys
import time
import warnings
import zipfile
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
from inference_fixtures import *  # noqa: F403
from mmengine.logging import HistoryBuffer

from freeseg_mm import FreeSegInferencer
from freeseg_mm.cli import main
from freeseg_mm.models.clip import FrozenCLIP

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
    'hub': "model = dict(clip=dict(type='freeseg_mm.FrozenCLIP', "
    "model='hf-hub:evil/model', pretrained='x'))",
    'teacher': "model = dict(backbone=dict(type='LAD', teacher_config='x'))",
}


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments, state=None):
        self.made = function, arguments, state

    def __reduce__(self):
        return self.made


def touching(code):
    """A call of Python code that makes the file."""
    return Calls(builtins.exec, code)


def pickles(marker):
    """Objects whose unpickling would make a file, by name."""
    code = f'open({str(marker)!r}, "w")'
    command = f'touch {marker}'
    return {
        'os.system': Calls(os.system, command),
        'exec': touching(code),
        'eval': Calls(builtins.eval, code),
        'open': Calls(io.open, str(marker), 'w'),
        'posix_spawn': Calls(
            os.posix_spawnp, 'touch', ['touch', str(marker)], {}
        ),
        'import_module': Calls(importlib.import_module, 'evil_module'),
        'run_module': Calls(runpy.run_module, 'evil_module'),
        'partial': Calls(functools.partial(os.system, command)),
        'history_buffer': HistoryBuffer([touching(code)], [1]),
        'array_of_objects': np.array([touching(code)], object),
        'state': Calls(dict, state={'a': touching(code)}),
        'pickle_in_pickle': Calls(pickle.loads, pickle.dumps(touching(code))),
        'old_storage': Calls(
            torch.storage._load_from_bytes,
            saved({'a': touching(code)}, _use_new_zipfile_serialization=False),
        ),
    }


def saved(content, **options):
    """The bytes of a checkpoint."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def in_state_dict(value):
    return saved({'state_dict': {'weight': value}, 'meta': {}})


def in_meta(value):
    return saved({'state_dict': {}, 'meta': value, 'message_hub': value})


def as_old_file(value):
    """Before PyTorch 1.6, no archive."""
    content = {'state_dict': {'weight': value}, 'meta': {}}
    return saved(content, _use_new_zipfile_serialization=False)


def as_bare_pickle(value):
    return pickle.dumps({'state_dict': {'weight': value}})


def behind_whole_weights(value):
    """Two entries of one name in an archive; readers differ in which."""
    buffer = io.BytesIO(saved({'state_dict': {'weight': torch.zeros(1)}}))
    with zipfile.ZipFile(io.BytesIO(in_state_dict(value))) as bad:
        (name,) = (x for x in bad.namelist() if x.endswith('data.pkl'))
        evil = bad.read(name)
    with zipfile.ZipFile(buffer, 'a') as file, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        file.writestr('archive/data.pkl', evil)
    return buffer.getvalue()


FORMS = (
    in_state_dict, in_meta, as_old_file, as_bare_pickle, behind_whole_weights,
)  # fmt: skip
NAMES = tuple(pickles('x'))


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """The path of a checkpoint; what its code would make is not there."""
    marker = tmp_path / 'marker'
    (tmp_path / 'evil_module.py').write_text(f'open({str(marker)!r}, "w")')
    monkeypatch.syspath_prepend(str(tmp_path))
    # some are imported, once
    monkeypatch.delitem(sys.modules, 'evil_module', raising=False)
    path = tmp_path / 'evil.pth'
    yield path, marker
    assert not marker.exists()


def test_there_are_enough():
    assert len(CODE) + len(TYPES) + len(NAMES) * len(FORMS) > 100
    assert len(CODE) > 20
    assert len(TYPES) > 10
    assert len(NAMES) > 10


# --- configs -----------------------------------------------------------------


@pytest.mark.parametrize('name', [*CODE, *TYPES])
def test_config_of_a_checkpoint_runs_nothing(evil, name):
    path, marker = evil
    text = {**CODE, **TYPES}[name].replace('MARK', str(marker))
    torch.save({'state_dict': {}, 'meta': {'cfg': text}}, path)
    with pytest.raises(ValueError, match=re.escape(f'{path}: ')) as caught:
        FreeSegInferencer(path)
    assert '\n' not in str(caught.value)
    assert 'if you trust it, give its config file' in str(caught.value)


@pytest.mark.parametrize('name', ['expression', 'custom_imports'])
def test_config_runs_nothing_in_commands(evil, photo, capsys, name):
    path, marker = evil
    text = CODE[name].replace('MARK', str(marker))
    torch.save({'state_dict': {}, 'meta': {'cfg': text}}, path)
    arguments = ['--classes', 'cat', '--checkpoint', str(path)]
    assert main(['predict', str(photo), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'freeseg-mm predict: {path}: ')


def test_folders_of_a_checkpoint_are_not_written(tiny_weights, tmp_path):
    """Its config cannot say where this machine keeps texts."""
    content = torch.load(tiny_weights[1], weights_only=True)
    folder = tmp_path / 'texts'
    text = content['meta']['cfg']
    assert "'text_cache_dir': None" in text
    content['meta']['cfg'] = text.replace(
        "'text_cache_dir': None", f"'text_cache_dir': {str(folder)!r}"
    )
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    inferencer = FreeSegInferencer(path, device='cpu')
    inferencer(np.zeros((32, 32, 3), np.uint8), ['cat'])
    assert not folder.exists()


# --- pickles -----------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_pickles_run_where_they_are_trusted(tmp_path, monkeypatch, name):
    """Else the tests below would show nothing."""
    marker = tmp_path / 'marker'
    (tmp_path / 'evil_module.py').write_text(f'open({str(marker)!r}, "w")')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, 'evil_module', raising=False)
    content = in_state_dict(pickles(marker)[name])
    # it has run when it turns out to be wrong
    with suppress(AttributeError, TypeError, ValueError):
        torch.load(io.BytesIO(content), weights_only=False)
    end = time.monotonic() + 30  # one starts a process and leaves it
    while not marker.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def doors(
    config_file,
    photo,
    tmp_path,
    repo,
    monkeypatch,
    tiny_clip_config,
    tiny_model_config,
    build_tiny_model,
):
    """What reads a file of weights; each refuses it, saying why."""

    def command(*arguments):
        if main([*map(str, arguments)]):
            raise ValueError

    def tool(name, *arguments):
        words = [name, *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', words)
        runpy.run_path(str(repo / 'tools' / name), run_name='__main__')

    def built(changes):
        model = deepcopy(tiny_model_config)
        for key, value in changes.items():
            part, name = key.split('.')
            model[part][name] = value
        build_tiny_model(model)

    options = '--work-dir', tmp_path / 'run', '--cfg-options'
    convert = 'models', 'convert'
    return {
        'inferencer': lambda path: FreeSegInferencer(path),
        'inferencer_with_config': lambda path: FreeSegInferencer(
            config_file, path, device='cpu'
        ),
        'predict': lambda path: command(
            'predict', photo, '--checkpoint', path, '--classes', 'cat'
        ),
        'test': lambda path: tool('test.py', config_file, path),
        'load_from': lambda path: tool(
            'train.py', config_file, *options, f'load_from={path}'
        ),
        'resume': lambda path: tool(
            'train.py', config_file, '--resume', path, *options[:2]
        ),
        'convert': lambda path: command(
            *(*convert, path, '--layout', 'released', '--config', config_file),
            *('--out', tmp_path / 'out.pth'),
        ),
        'backbone': lambda path: built(
            {
                'backbone.init_cfg': {
                    'type': 'Pretrained',
                    'checkpoint': str(path),
                }
            }
        ),
        'prompts': lambda path: built(
            {'prompt_learner.pretrained': str(path)}
        ),
        'clip': lambda path: FrozenCLIP(
            model=tiny_clip_config.model, pretrained=str(path)
        ),
    }


DOORS = (
    'inferencer', 'inferencer_with_config', 'predict', 'test', 'load_from',
    'resume', 'convert', 'backbone', 'prompts', 'clip',
)  # fmt: skip


@pytest.mark.parametrize('door', DOORS)
def test_pickles_run_nothing(evil, doors, capsys, door):
    """And an error names the file, at the end of a command or in itself."""
    path, marker = evil
    few = door in ('load_from', 'resume')  # which build a run before
    for number, name in enumerate(NAMES[: len(FORMS) if few else None]):
        form = FORMS[number % len(FORMS)]
        path.write_bytes(form(pickles(marker)[name]))
        with pytest.raises((Exception, SystemExit)) as caught:
            doors[door](path)
        said = str(caught.value) + capsys.readouterr().err
        assert str(path) in said, (name, form)
        assert 'Traceback' not in said, (name, form)
        assert not marker.exists(), (name, form)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', NAMES)
def test_no_form_runs_anything(evil, form, name):
    path, marker = evil
    path.write_bytes(form(pickles(marker)[name]))
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        FreeSegInferencer(path)
