from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from freeseg_mm.models.segmentors.checks import check_preprocessor
from freeseg_mm.utils.errors import (
    building,
    is_out_of_memory,
    memory_advice,
)
from freeseg_mm.utils.run_config import check_options


def raised(call):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ('call', 'expected'),
    [
        (lambda: torch.empty(2**50), True),
        (lambda: np.empty(2**50), True),
        (lambda: torch.zeros(2) + torch.zeros(3), False),
        pytest.param(
            lambda: torch.empty(2**50, device='cuda'),
            True,
            marks=pytest.mark.gpu,
        ),
    ],
    ids=['torch', 'numpy', 'another', 'gpu'],
)
def test_errors_of_memory_are_told_from_others(call, expected):
    assert is_out_of_memory(raised(call)) is expected


def test_pytorch_s_own_error_is_one():
    """As a GPU raises it, which has a class of its own."""
    assert is_out_of_memory(torch.OutOfMemoryError('CUDA out of memory.'))


@pytest.fixture
def advice(repo):
    """Advice on a run, and the options that it names."""

    def give(name='freeseg/coco.py', training=True, **options):
        config = Config.fromfile(repo / 'configs' / name)
        config.merge_from_dict(options)
        error = torch.OutOfMemoryError('CUDA out of memory. Tried\nmore')
        text = memory_advice(error, config, iteration=7, training=training)
        words = [word.strip(',;') for word in text.split()]
        named = dict(word.split('=') for word in words if '=' in word)
        check_options(config, named)
        return text, named

    return give


def test_all_that_takes_less(advice):
    text, named = advice()
    assert text.startswith(
        'out of memory in iteration 7, with a batch_size of 4 and 640x640 '
        'pixels (OutOfMemoryError: CUDA out of memory. Tried). Less takes: '
    )
    assert named == {
        'train_dataloader.batch_size': '2',
        'optim_wrapper.accumulative_counts': '2',
        'model.backbone.with_cp': 'True',
        'model.panoptic_head.with_cp': 'True',
        'model.train_cfg.num_negative_classes': '32',
    }
    assert '--amp on a GPU' in text
    assert 'a smaller crop_size' in text


def test_what_is_turned_down_is_not_named_again(advice):
    text, named = advice(
        'freeseg/coco_large.py',
        **{
            'train_dataloader.batch_size': 1,
            'model.train_cfg.num_negative_classes': 8,
            'optim_wrapper.type': 'AmpOptimWrapper',
        },
    )
    assert named == {}
    assert 'Less takes: a smaller crop_size; see' in text
    # four batches an update, of half the size
    _, named = advice('freeseg/coco_large.py')
    assert named['optim_wrapper.accumulative_counts'] == '4'


def test_a_frozen_backbone_has_nothing_to_make_again(advice):
    _, named = advice('freeseg/coco_convclip.py')
    assert 'model.backbone.with_cp' not in named
    assert 'model.panoptic_head.with_cp' in named


def test_in_validation(advice):
    text, named = advice(training=False)
    assert 'in validation after iteration 7, with a batch_size of 1 (' in text
    assert 'Less takes: a smaller test_size; see' in text
    assert named == {}
    _, named = advice(training=False, **{'val_dataloader.batch_size': 8})
    assert named == {'val_dataloader.batch_size': '4'}


def test_what_python_says_of_a_config_is_no_sentence():
    """Nor is it where a line of ours trips over a value of a wrong type."""
    for preprocessor, words in (
        (SimpleNamespace(mean=1, std=1), 'builds no net .AttributeError: '),
        (SimpleNamespace(pad_size_divisor=0), '^model.data_preprocessor.pad'),
    ):
        with pytest.raises(ValueError, match=words), building('net'):
            check_preprocessor(preprocessor)
