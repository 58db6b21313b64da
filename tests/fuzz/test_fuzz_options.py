"""Options of calls and command lines, ``--cfg-options``, config files."""

import argparse
import contextlib
import io
import math
from dataclasses import fields

import numpy as np
import pytest
from fuzzing import (
    LETTERS,
    Case,
    fuzz,
    mutated_text,
    mutated_tree,
    nodes,
    odd_text,
    odd_value,
    run_command,
)
from mmengine.config import Config

from freeseg_mm import FreeSegInferencer
from freeseg_mm.apis.results import ImageResult
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.utils.run_config import add_config_arguments, read_config

SHARES = ('seen_weight', 'unseen_weight', 'score_thr', 'overlap_thr')
BASE = "a = 3\nnames = ['x']\nmodel = dict(type='Base', depth=50)\n"
FILE = """\
_base_ = ['base.py']
custom_imports = dict(imports=['freeseg_mm.registry'])
default_scope = 'mmdet'
size = 64
pipeline = [dict(type='Resize', scale=(size, {{_base_.a}}))]
model = dict(
    backbone=dict(_delete_=True, type='ResNet', out_indices=(0, 1)),
    test_cfg=dict(mode='geometric', seen_weight=0.8))
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=pipeline))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4))
train_cfg = dict(max_iters=10)
load_from = None
"""
VALUES = (
    'nan', 'inf', '1e99', '-1', '0', 'None', 'True', 'abc', '[', '[1', '1,2',
    '(1,', '((', "'", '"x', '', ' ', '[[],', 'dict(a=1)', '{', '1' * 5000,
    '[1,2]', '(1,2),3', '../x', 'é', '__import__("os")', '=', 'a=b', '\n',
    '[' * 200, '(' * 200 + ')' * 200,
)  # fmt: skip


def is_options(options):
    """The rules of every set of options."""
    for name in (*SHARES, 'clip_trust', 'object_score_thr', 'pixel_score_thr'):
        given = getattr(options, name)
        values = given.values() if isinstance(given, dict) else [given]
        for value in values:
            assert 0 <= value <= 1
            assert not isinstance(value, str)
    assert isinstance(options.max_per_image, int)
    assert options.max_per_image >= 1
    assert options.mode in ('geometric', 'arithmetic', 'query', 'clip')
    assert options.tasks
    assert isinstance(options.prompt_tuning.steps, int)
    assert options.prompt_tuning.steps >= 0
    assert 0 < options.prompt_tuning.learning_rate < math.inf


def of_override(rng):
    names = [x.name for x in fields(PredictOptions) if x.init]
    given = {
        rng.choice((*names, odd_text(rng) or 'x')): rng.choice(
            (odd_value(rng), np.float32(0.5), np.array([1]), 0.5, 'query')
        )
        for _ in range(rng.choice((1, 1, 2)))
    }
    if rng.random() < 0.3:
        settings = ('steps', 'learning_rate', 'source', odd_text(rng))
        given = {'prompt_tuning': {rng.choice(settings): odd_value(rng)}}
    return Case(
        f'override {given!r:.90}',
        lambda: PredictOptions().override(**given),
        is_options,
        (*given, 'mode', 'task', 'keys'),
    )


def of_test_cfg(rng):
    usual = {
        'tasks': ['semantic', 'panoptic'],
        'ensemble': {'mode': 'geometric', 'seen_weight': 0.8},
        'score_thr': 0.1,
        'max_per_image': 10,
        'panoptic_rule': 'score',
        'prompt_tuning': {'steps': 2, 'learning_rate': 0.1},
    }
    what, odd = mutated_tree(rng, usual)
    return Case(
        f'test_cfg {what}',
        lambda: PredictOptions.from_config(odd),
        is_options,
        (*usual, *usual['ensemble'], *usual['prompt_tuning'], 'test_cfg'),
    )


def of_call(rng, inferencer):
    image = np.zeros((8, 12, 3), np.uint8)
    name = rng.choice(
        ('batch_size', 'frame_stride', 'channel_order', 'tasks', 'score_thr',
         'prompt_tuning', 'max_per_image', 'things', 'no_such')
    )  # fmt: skip
    value = odd_value(rng)

    def right(results):
        (result,) = results
        assert isinstance(result, ImageResult)
        assert result.size == (8, 12)

    return Case(
        f'call {name}={value!r:.60}',
        lambda: list(
            inferencer.stream(image, ['cat', 'sky'], **{name: value})
        ),
        right,
        (name, 'task'),
    )


def parsed(*argv):
    """Arguments as ``tools/train.py`` reads them; usage is a ValueError."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.error = lambda message: exit_with(message)
    add_config_arguments(parser)
    return parser.parse_args(argv)


def exit_with(message):
    raise ValueError(message)


def of_cfg_options(rng, path, config):
    """Options on a command line, with keys that are there or nearly."""
    keys = ['.'.join(map(str, x)) for x in nodes(config) if x]
    options = []
    for _ in range(rng.choice((1, 1, 2))):
        key = rng.choice(keys)
        if rng.random() < 0.4:
            key = mutated_text(rng, key)[1][:300]
        options.append(f'{key}={rng.choice(VALUES)}')
    if rng.random() < 0.1:
        options = [rng.choice(VALUES)]

    def call():
        args = parsed(str(path), '--cfg-options', *options)
        return read_config(args.config, args.cfg_options)

    def right(found):
        keys = [option.partition('=')[0] for option in options]
        for key in keys:
            # another option may have written over it
            if sum(other.startswith(key.split('.')[0]) for other in keys) > 1:
                continue
            node = found
            for part in key.split('.'):
                listed = isinstance(node, list | tuple)
                node = node[int(part) if listed else part]

    names = (*(x.partition('=')[0] for x in options), 'cfg-options')
    return Case(f'options {options!r:.120}', call, right, names)


def of_file(rng, folder):
    path, base = folder / 'config.py', folder / 'base.py'
    text, below = FILE, BASE
    what, text = mutated_text(rng, text)
    chance = rng.random()
    if chance < 0.2:
        text, (what, below) = FILE, mutated_text(rng, BASE)
    elif chance < 0.4:
        what = rng.choice(
            (
                "_base_ = ['config.py']", "_base_ = './gone.py'", '_base_ = 3',
                '_base_ = [None]', "_base_ = ['base.py', 'base.py']",
                'import no_such_module', 'import os', 'raise KeyError(1)',
                '1 / 0', 'x = y', 'def f(: pass', 'x = {{_base_.none}}', 'a b',
                'x = {{fileDirname}}', "x = '{{$NONE:}}'",
                "custom_imports = dict(imports=['no_such_module'])",
                'custom_imports = 3', "default_scope = 'no_such'",
                'default_scope = 3', 'model = None', 'filename = 3',
                "text = 'x'", 'from mmengine.config import read_base',
                'with read_base():\n    from .gone import *',
                'class A: pass\nx = A()', 'x = lambda: 1', 'x = (' * 500,
                'x = [' + '1,' * 20000 + ']', 'while False: pass',
                "model = dict(type='no_such', _delete_=1)", '\tx = 1',
                'pipeline = 3', '\0', '\ufeffx = 1', 'é = 1', "_base_ = '/'",
                "_base_ = 'https://localhost/x.py'", "_base_ = 'mmdet::x.py'",
                "_base_ = 'no_such::x.py'",
            )
        )  # fmt: skip
        text = f'{what}\n' if rng.random() < 0.5 else f'{FILE}\n{what}\n'
    base.write_bytes(below.encode())
    content = text.encode()
    if rng.random() < 0.05:
        what, content = 'noise', rng.randbytes(50)
    path.write_bytes(content)
    if rng.random() < 0.05:
        path = rng.choice((folder, folder / 'gone.py', folder / 'x.json'))

    def right(config):
        assert isinstance(config, Config)
        assert config.filename == str(path)

    return Case(
        f'file {what!r:.60}',
        lambda: read_config(path),
        right,
        (str(path), str(base)),
    )


def of_inferencer(rng, config):
    """Entries of a model's config, changed before it is built."""
    paths = [
        '.'.join(map(str, x))
        for x in nodes(Config.fromfile(config).model.to_dict(), ('model',))
    ]
    value = odd_value(rng)
    key = rng.choice(paths)
    return Case(
        f'build {key}={value!r:.60}',
        lambda: FreeSegInferencer(
            config, 'random', device='cpu', cfg_options={key: value}
        ),
        lambda found: is_options(found.options),
        (key, key.rpartition('.')[2], repr(value), 'config builds', 'model'),
    )


def of_command(rng, folder):
    """Words of a command line; nothing gets as far as a model."""
    command = rng.choice(
        (
            ['predict', 'no/such.png', '--classes', 'cat'],
            ['video', 'no/such.mp4', '--classes', 'cat', '--out', 'x.mp4'],
            ['vocab', 'show', 'no_such'],
            ['models', 'info', 'no_such'],
            ['check', str(folder / 'gone.py')],
            ['import', 'semantic', str(folder / 'out'), '--images', 'gone',
             '--masks', 'gone', '--classes', 'gone.txt'],
            ['prepare', 'voc', str(folder / 'gone'), str(folder / 'out')],
        )
    )  # fmt: skip
    argv = list(command)
    extra = rng.choice(
        (
            '--score-thr', '--batch-size', '--max-side', '--frame-stride',
            '--prompt-tuning', '--tasks', '--format', '--workers', '--device',
            '--things', '--unseen', '--cfg-options', '--no-such', '--split',
        )
    )  # fmt: skip
    value = rng.choice((*VALUES, ''.join(rng.choices(LETTERS, k=3))))
    argv += [extra, value.replace('\0', '')]
    if rng.random() < 0.2:
        argv = argv[: rng.randrange(len(argv))]

    def call():
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            return run_command(*argv)

    def right(status):
        raise AssertionError(f'{argv} ended with {status}')

    names = ('no', 'gone', '--', 'argument', extra, 'required', 'expected')
    return Case(f'command {argv!r:.100}', call, right, names)


@pytest.fixture
def config_path(tiny_weights):
    return tiny_weights[0]


def test_options(count, config_path, tiny_inferencer, tmp_path):
    config = {
        'model': {'backbone': {'out_indices': [0, 1]}, 'test_cfg': {'x': 1}},
        'train_dataloader': {'dataset': {'pipeline': [{'type': 'Resize'}]}},
        'optim_wrapper': {'optimizer': {'lr': 0.1}},
        'train_cfg': {'max_iters': 10},
        'load_from': None,
        'default_scope': 'mmdet',
    }
    (tmp_path / 'base.py').write_text(BASE)
    whole = tmp_path / 'whole.py'
    whole.write_text(FILE)
    folder = tmp_path / 'files'
    folder.mkdir()

    def make(rng):
        chance = rng.random()
        if chance < 0.2:
            return of_override(rng)
        if chance < 0.35:
            return of_test_cfg(rng)
        if chance < 0.45:
            return of_call(rng, tiny_inferencer)
        if chance < 0.65:
            return of_cfg_options(rng, whole, config)
        if chance < 0.85:
            return of_file(rng, folder)
        if chance < 0.87:
            return of_inferencer(rng, config_path)
        return of_command(rng, tmp_path)

    fuzz('options', make, count)
