"""Resume states of a real runner load with torch's safe loading on."""

import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

import freeseg_mm.registry  # noqa: F401 - lets torch load them
import freeseg_mm.utils.torch_load as torch_load


class ToyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs, mode='tensor'):
        loss = self.linear(torch.stack(inputs)).square().mean()
        return {'loss': loss} if mode == 'loss' else loss


def build_runner(work_dir, max_iters, resume):
    generator = torch.Generator().manual_seed(0)
    return Runner(
        model=ToyModel(),
        work_dir=str(work_dir),
        train_dataloader={
            'dataset': list(torch.randn(8, 2, generator=generator)),
            'sampler': {'type': 'InfiniteSampler', 'shuffle': False},
            'collate_fn': lambda samples: {'inputs': samples},
            'batch_size': 2,
            'num_workers': 0,
        },
        train_cfg={'by_epoch': False, 'max_iters': max_iters},
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.1}},
        param_scheduler={'type': 'LinearLR', 'by_epoch': False, 'end': 3},
        default_hooks={
            'checkpoint': {
                'type': 'CheckpointHook',
                'by_epoch': False,
                'interval': 1,
            },
            'logger': {'type': 'LoggerHook', 'interval': 1},
        },
        resume=resume,
        log_level='ERROR',
        experiment_name=f'{work_dir}_{max_iters}',
    )


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('resume')
    runner = build_runner(work_dir, max_iters=2, resume=False)
    # What a metric leaves behind: numpy scalars, single and double.
    runner.message_hub.update_info('best_score', np.float64(41.5))
    runner.message_hub.update_info('last_score', np.float32(0.25))
    runner.train()
    return work_dir / 'iter_2.pth'


def test_runner_resumes_where_it_stopped(checkpoint):
    saved = torch.load(checkpoint, weights_only=True)['message_hub']
    losses = saved['log_scalars']['train/loss'].data[0].tolist()
    assert len(losses) == 2

    runner = build_runner(checkpoint.parent, max_iters=3, resume=True)
    runner.train()

    assert runner.iter == 3
    history = runner.message_hub.get_scalar('train/loss').data[0].tolist()
    assert len(history) == 3
    assert history[:2] == losses
    assert runner.message_hub.get_info('best_score') == 41.5


def test_state_is_the_same_as_saved(checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    hub = state['message_hub']
    assert isinstance(hub['log_scalars']['train/lr'], HistoryBuffer)
    assert hub['log_scalars']['train/lr'].statistics('max') == pytest.approx(
        0.1 * (1 / 3 + 1 / 3)
    )
    assert type(hub['runtime_info']['last_score']) is np.float32
    assert hub['runtime_info']['last_score'] == 0.25


def test_states_load_after_another_library_allowed_the_same(checkpoint):
    allowed = [HistoryBuffer, np.ndarray, np.dtype]
    with torch.serialization.safe_globals(allowed):
        assert 'message_hub' in torch.load(checkpoint, weights_only=True)
    # whose end takes back what it allowed
    assert 'message_hub' in torch.load(checkpoint, weights_only=True)
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint))
    assert 'message_hub' in loaded
    assert 'message_hub' in torch.load(checkpoint, weights_only=True)


def test_torch_refuses_such_a_state_without_us(checkpoint):
    """The reason for the module; without it, this could be deleted."""
    code = f'import torch; torch.load({str(checkpoint)!r}, weights_only=True)'
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode != 0
    assert 'Unsupported global' in result.stderr


def test_state_written_under_numpy_1_loads(tmp_path):
    """Numpy 1 names its internals numpy.core, numpy 2 numpy._core."""
    path = tmp_path / 'new.pth'
    torch.save({'score': np.float64(2.5), 'list': np.arange(3)}, path)
    # A torch file is a zip archive with one pickle in it.
    old = tmp_path / 'old.pth'
    with (
        zipfile.ZipFile(path) as source,
        zipfile.ZipFile(old, 'w') as target,
    ):
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith('data.pkl'):
                assert b'numpy._core.multiarray' in data
                data = data.replace(b'numpy._core.', b'numpy.core.')
            target.writestr(item, data)
    loaded = torch.load(old, weights_only=True)
    assert loaded['score'] == 2.5
    assert loaded['list'].tolist() == [0, 1, 2]


def test_no_such_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match='no.pth can not be found'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'no.pth'))


class Reach:
    """Pickles as a call of getattr on something that is not a buffer."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, 'register_statistics')


def test_getattr_stays_closed(tmp_path):
    path = tmp_path / 'hostile.pth'
    torch.save({'value': Reach()}, path)
    with pytest.raises(
        (ValueError, pickle.UnpicklingError), match='register_statistics'
    ):
        torch.load(path, weights_only=True)
    with pytest.raises(
        (ValueError, pickle.UnpicklingError), match='register_statistics'
    ):
        CheckpointLoader.load_checkpoint(str(path))
    with pytest.raises(ValueError, match="attribute 'system'"):
        torch_load._history_statistic(torch, 'system')


class Run:
    """Pickles as a call of a function."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_mmengine_runs_no_code_of_a_checkpoint(tmp_path):
    path, witness = tmp_path / 'hostile.pth', tmp_path / 'witness'
    torch.save({'value': Run(witness)}, path)
    with pytest.raises(ValueError, match=re.escape(f'{path}: not a check')):
        CheckpointLoader.load_checkpoint(str(path))
    assert not witness.exists()


@pytest.mark.parametrize(
    ('content', 'found'),
    [
        (b'<!DOCTYPE html><title>Not found</title>', 'Unsupported operand 60'),
        (pickle.dumps(Path('x'), protocol=2), 'pathlib'),
    ],
)
def test_a_refusal_does_not_say_how_to_run_the_file(content, found, tmp_path):
    path = tmp_path / 'page.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=found) as caught:
        CheckpointLoader.load_checkpoint(str(path))
    message = str(caught.value)
    assert 'weights_only' not in message
    assert 'safe_globals' not in message
    assert '\n' not in message
