"""Checkpoints, prompts and foreign weights: damaged, odd, or with code."""

import os
import pickle
import warnings
from copy import deepcopy

import numpy as np
import pytest
import torch
from fuzzing import (
    Case,
    fuzz,
    mutated_bytes,
    mutated_text,
    mutated_tree,
    odd_value,
)
from mmengine.config import Config
from safetensors.torch import save_file

from freeseg_mm import FreeSegInferencer
from freeseg_mm.engine.checkpoint import WeightsInfo, latest_checkpoint
from freeseg_mm.engine.config_data import parse_config
from freeseg_mm.zoo.foreign import read_state

CONFIG = """\
default_scope = 'mmdet'
model = dict(
    type='freeseg_mm.FreeSeg',
    backbone=dict(type='ResNet', depth=50, frozen_stages=-1),
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[1.0, 2, 3]))
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackDetInputs')]
custom_hooks = [dict(type='freeseg_mm.CompatibilityHook')]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3)
names = {'a-b': (1, None, True)}
"""
VOCABULARY = {
    'names': ['cat', 'sky'],
    'is_thing': [True, False],
    'is_seen': [True, False],
    'synonyms': [['kitten'], []],
    'name': 'tiny',
}
PIECES = (
    "__import__('os').system('touch MARK')", "open('MARK', 'w')", 'lambda: 1',
    'dict(type="os.system", command="touch MARK")', '[x for x in y]', '...',
    "dict(type='subprocess.check_call', args='touch MARK')", '**{}', '*[]',
    "custom_imports = dict(imports=['antigravity'])", "_base_ = ['MARK']",
    "dict(_scope_='os')", "default_scope = 'os'", "type='torch.load'", '0x1',
    "dict(type='Pretrained', checkpoint='MARK')", '1e999', "f'{x}'", 'b""',
    '(' * 300, '-' * 5000, '\0', '\n', '1 if 2 else 3', 'x.y', 'x[0]', '{1}',
)  # fmt: skip


class Net(torch.nn.Module):
    """Stands for a model whose weights are checked."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2)


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def odd_entry(rng):
    """A value that ``torch.save`` takes and a checkpoint should not hold."""
    return rng.choice(
        (
            odd_value(rng),
            torch.tensor(float('nan')),
            torch.full((2, 3), float('inf')),
            torch.ones(2, 3, dtype=torch.int8),
            torch.ones(2, 3, dtype=torch.float64),
            torch.ones(2, 3, dtype=torch.complex64),
            torch.ones(2, 3, dtype=torch.bfloat16),
            torch.ones(2, 3).to_sparse(),
            torch.empty(2, 3, device='meta'),
            torch.ones(()),
            torch.ones(0),
            torch.ones(2, 3).t(),
            torch.nn.Parameter(torch.ones(2, 3)),
            np.ones(3),
            b'bytes',
            (1, 2),
            {3},
            1 + 2j,
            slice(1),
        )
    )


def content():
    torch.manual_seed(0)
    return {
        'state_dict': dict(Net().state_dict()),
        'meta': {
            'cfg': CONFIG,
            'dataset_meta': {'classes': ('cat',), 'vocabulary': VOCABULARY},
            'iter': 3,
        },
        'freeseg_mm': {'clip': 'abc', 'clip_model': 'ViT-B-16'},
        'message_hub': {'log_scalars': {}},
    }


def written(rng, path, whole, mark):
    """Write a checkpoint of whatever kind; say which."""
    chance = rng.random()
    if chance < 0.05:
        torch.save(whole, path)
        return 'whole'
    if chance < 0.45:
        how, odd = mutated_tree(rng, whole, odd_entry)
        torch.save(odd, path)
        return how
    if chance < 0.6:
        text = CONFIG
        for _ in range(rng.choice((1, 2))):
            place = rng.randrange(len(text))
            piece = rng.choice(PIECES).replace('MARK', str(mark))
            text = text[:place] + piece + text[place + rng.randrange(9) :]
        odd = deepcopy(whole)
        odd['meta']['cfg'] = rng.choice((text, mutated_text(rng, CONFIG)[1]))
        torch.save(odd, path)
        return f'config {odd["meta"]["cfg"]!r:.60}'
    if chance < 0.7:
        touch = f'touch {mark}'
        code = Runs(
            *rng.choice(
                (
                    (os.system, touch),
                    (eval, f'open({str(mark)!r}, "w")'),
                    (exec, f'open({str(mark)!r}, "w")'),
                    (open, str(mark), 'w'),
                    (os.mkdir, str(mark)),
                    (getattr, os.path.join, '__globals__'),
                    (np.load, str(mark)),
                    (torch.load, str(mark)),
                )
            )
        )
        odd = deepcopy(whole)
        place = rng.choice(('state_dict', 'meta', 'freeseg_mm', 'x'))
        odd[place] = rng.choice((code, {'a': code}, [code]))
        if rng.random() < 0.5:
            torch.save(odd, path)
        else:
            path.write_bytes(pickle.dumps(odd, rng.choice((0, 2, 4))))
        return f'code in {place}'
    if chance < 0.75:
        save_file({'a': torch.ones(2)}, path)
        return 'safetensors'
    torch.save(whole, path, _use_new_zipfile_serialization=chance < 0.95)
    how, damaged = mutated_bytes(rng, path.read_bytes())
    path.write_bytes(damaged)
    return how


def same_state(found, whole, damaged):
    """Weights are those that were stored, or of another known value."""
    for name, value in found.items():
        assert isinstance(value, torch.Tensor)
        if damaged and name in whole['state_dict']:
            # checksums leave no other
            assert torch.equal(value, whole['state_dict'][name]), name


def of_checkpoint(rng, path, whole, mark):
    what = written(rng, path, whole, mark)
    damaged = '@' in what
    parts = rng.choice((('vocabulary',), ('config',), ('check',), ('all',)))
    model = Net()

    def call():
        info = WeightsInfo.read(path)
        if parts[0] in ('vocabulary', 'all'):
            _ = info.vocabulary
        if parts[0] in ('config', 'all'):
            assert isinstance(info.config(), Config)
        if parts[0] in ('check', 'all'):
            info.check(model)
        return info

    def right(info):
        assert not mark.exists()
        same_state(info.content['state_dict'], whole, damaged)
        if parts[0] in ('check', 'all'):
            model.load_state_dict(info.content['state_dict'])
            for value in model.state_dict().values():
                assert value.isfinite().all()

    return Case(f'{parts[0]} {what}', call, right, (str(path),))


def of_config(rng, mark):
    text = CONFIG
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(text) + 1)
        piece = rng.choice(PIECES).replace('MARK', str(mark))
        text = text[:place] + piece + text[place + rng.randrange(12) :]
    if rng.random() < 0.3:
        _, text = mutated_text(rng, CONFIG)

    def right(config):
        assert not mark.exists()
        plain(config.to_dict())

    return Case(
        f'config {text!r:.90}',
        lambda: parse_config(text),
        right,
        ('config', 'it sets', 'default_scope'),
    )


def plain(value):
    if isinstance(value, dict):
        for key, below in value.items():
            assert key is None or isinstance(key, str | int | float | tuple)
            plain(below)
    elif isinstance(value, list | tuple | set):
        for below in value:
            plain(below)
    else:
        kinds = str | int | float | bytes | complex | None | type(...)
        assert isinstance(value, kinds)


def of_foreign(rng, path, whole, mark):
    """Weights of others, as PyTorch's or as a pickle of arrays."""
    state = {'model': {'a': np.ones((2, 3)), 'b': np.arange(3)}}
    if rng.random() < 0.5:
        path = path.with_suffix('.pkl')
        _, odd = mutated_tree(rng, state, odd_value)
        damaged = pickle.dumps(odd, rng.choice((0, 2, 4)))
        what = 'pickle'
        if rng.random() < 0.6:
            what, damaged = mutated_bytes(rng, damaged)
        path.write_bytes(damaged)
    else:
        what = written(rng, path, whole, mark)

    def right(found):
        assert not mark.exists()
        assert found
        assert all(isinstance(x, torch.Tensor) for x in found.values())

    return Case(
        f'foreign {what}', lambda: read_state(path), right, (str(path),)
    )


def of_run(rng, folder, whole, mark):
    """The checkpoints of a run that was killed, and its note."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    good = set()
    for number in (2, 10, 9):
        path = folder / f'iter_{number}.pth'
        if written(rng, path, whole, mark) == 'whole' or rng.random() < 0.3:
            torch.save(whole, path)
            good.add(path)
    note = rng.choice(
        (str(folder / 'iter_10.pth'), 'iter_2.pth', '', '\0', '/', '..', '.')
    )
    (folder / 'last_checkpoint').write_bytes(
        note.encode() if rng.random() < 0.9 else rng.randbytes(20)
    )

    def right(found):
        assert not mark.exists()
        if good:
            assert found is not None
        if found is not None:
            assert found.suffix == '.pth'
            WeightsInfo.read(found)

    return Case(
        f'run, note {note!r}',
        lambda: latest_checkpoint(folder),
        right,
        (str(folder),),
    )


def of_inferencer(rng, tiny, path, mark):
    """A whole model with an odd entry somewhere."""
    config, whole = tiny
    whole = dict(whole)
    part = rng.choice(('meta', 'freeseg_mm', 'state_dict'))
    how, whole[part] = mutated_tree(rng, whole[part], odd_entry)
    torch.save(whole, path)
    first = (config, path) if rng.random() < 0.5 else (path,)

    def right(inferencer):
        assert not mark.exists()
        for value in inferencer.model.state_dict().values():
            assert value.isfinite().all()

    return Case(
        f'inferencer {part} {how}',
        lambda: FreeSegInferencer(*first, device='cpu'),
        right,
        (str(path),),
    )


@pytest.fixture
def tiny(tiny_weights):
    config, path = tiny_weights
    return config, torch.load(path, weights_only=True)


def test_checkpoints(count, tiny, tmp_path):
    whole, mark = content(), tmp_path / 'mark'
    path = tmp_path / 'weights.pth'

    def make(rng):
        chance = rng.random()
        if chance < 0.6:
            return of_checkpoint(rng, path, whole, mark)
        if chance < 0.75:
            return of_config(rng, mark)
        if chance < 0.9:
            return of_foreign(rng, path, whole, mark)
        if chance < 0.98:
            return of_run(rng, tmp_path / 'run', whole, mark)
        return of_inferencer(rng, tiny, path, mark)

    with warnings.catch_warnings():
        # PyTorch's and Python's, of what they read
        warnings.simplefilter('ignore')
        fuzz('checkpoints', make, count)
    assert not mark.exists()
