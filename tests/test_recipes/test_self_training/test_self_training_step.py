"""One training of a self-training."""

import pytest
import torch

from freeseg_mm.recipes.self_training.rounds import Training


@pytest.fixture
def training(tiny_run_config, tmp_path):
    tiny_run_config.val_cfg = tiny_run_config.val_dataloader = None
    tiny_run_config.val_evaluator = None

    def make(config=tiny_run_config, **changes):
        return Training(config, tmp_path / 'train', tmp_path.name, **changes)

    return make


def test_trains_from_weights_once(training, tiny_weights, monkeypatch):
    job = training(start=tiny_weights[1])
    path = job.run()
    assert path.name == 'iter_2.pth'
    content = torch.load(path, weights_only=True)
    assert content['freeseg_mm_random'].keys() >= {'python', 'numpy', 'torch'}
    # the run's own config is left as it was
    assert job.config.load_from is None
    assert not job.config.resume

    def refuse(config):
        raise AssertionError('trained again')

    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', refuse)
    assert job.run() == path
    # other inputs do not mix
    with pytest.raises(FileExistsError, match='a training of another config'):
        training().run()


@pytest.mark.slow
def test_trains_by_several_processes(training, tiny_weights, repo):
    """A step of two processes takes a batch of each."""
    job = training(start=tiny_weights[1], gpus=2)
    path = job.run()
    assert path.name == 'iter_2.pth'
    log = (job.folder / 'train.log').read_text()
    assert 'Distributed launcher: pytorch' in log
    start, end = (
        torch.load(file, weights_only=True)['state_dict']
        for file in (tiny_weights[1], path)
    )
    assert any(not torch.equal(start[name], end[name]) for name in end)
    assert not job.config.resume


def test_foreign_weights_are_left_alone(training):
    job = training()
    job.folder.mkdir()
    job.weights.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match='weights of unknown origin'):
        job.run()
    assert job.weights.read_bytes() == b'mine'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.train_cfg.pop('max_iters'), 'train_cfg.max_iters'),
        (
            lambda c: c.train_dataloader.dataset.update(split='all'),
            "with split='all'",
        ),
        (
            lambda c: c.train_dataloader.dataset.update(pseudo_labels='x'),
            "trains with pseudo_labels='x' already",
        ),
    ],
)
def test_configs_that_cannot_be_self_trained_are_refused(
    training, change, message
):
    job = training()
    change(job.config)
    with pytest.raises(ValueError, match=message):
        job.run()
