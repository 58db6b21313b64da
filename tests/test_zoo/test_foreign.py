"""Files of strangers execute nothing."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from freeseg_mm.zoo.foreign import read_state


class Evil:
    """What would make a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('key', ['state_dict', 'model', None])
def test_parameters_are_found(key, tmp_path):
    state = OrderedDict(a=torch.ones(2))
    torch.save({key: state, 'epoch': 3} if key else state, tmp_path / 'w.pth')
    assert read_state(tmp_path / 'w.pth')['a'].tolist() == [1, 1]


@pytest.mark.parametrize('protocol', [2, 4])
def test_pickle_of_arrays(protocol, tmp_path):
    """As detectron2 writes them."""
    path = tmp_path / 'w.pkl'
    content = {
        'model': {'a': np.arange(3.0), 'b': np.float32([[1]])},
        '__author__': 'X',
    }
    path.write_bytes(pickle.dumps(content, protocol))
    state = read_state(path)
    assert state['a'].tolist() == [0, 1, 2]
    assert state['b'].dtype == torch.float32


@pytest.mark.parametrize('suffix', ['.pkl', '.pth'])
def test_nothing_is_executed(suffix, tmp_path):
    path, made = tmp_path / f'w{suffix}', tmp_path / 'made'
    content = {'state_dict': {'a': torch.ones(1)}, 'x': Evil(made)}
    if suffix == '.pth':
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({'model': {}, 'x': Evil(made)}))
    with pytest.raises(ValueError, match='would run code of its own'):
        read_state(path)
    assert not made.exists()


@pytest.mark.parametrize(
    'code',
    [
        b'cbuiltins\neval\n(V1\ntR.',
        b'c_codecs\nencode\n(Va\nVrot13\ntR.',
        b'cnumpy.core.multiarray\nfromstring\n.',
        b'',
        b'\x80',
        b'\x80\x04\x95' + b'\xff' * 8,
    ],
)
def test_odd_pickles_are_refused(code, tmp_path):
    (tmp_path / 'w.pkl').write_bytes(code)
    with pytest.raises(ValueError, match=r'w.pkl: damaged, no checkpoint'):
        read_state(tmp_path / 'w.pkl')


def test_damaged_file(tmp_path):
    path = tmp_path / 'w.pth'
    torch.save({'state_dict': {'a': torch.ones(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r'w.pth: damaged'):
        read_state(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        read_state(tmp_path / 'w.pth')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2], 'found a list'),
        ({'state_dict': {}}, 'found 0 of them'),
        ({'a': torch.ones(1), 'b': 3}, r"found 1 of them beside \['b'\]"),
        ({'a': np.array(['x'])}, 'would run code'),
    ],
)
def test_what_holds_no_parameters(content, message, tmp_path):
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match=message):
        read_state(tmp_path / 'w.pth')
