import pytest
import torch
from mmengine.config import Config
from warm_processes import run_warm

from freeseg_mm.engine.compatibility_hook import KEY
from freeseg_mm.models.segmentors import FreeSeg


@pytest.mark.slow
def test_trains_then_resumes(repo, config_file, run_tool, tmp_path):
    done = run_warm([repo / 'tools/train.py', config_file], cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    work_dir = tmp_path / 'work_dir'
    assert (work_dir / 'last_checkpoint').read_text().endswith('iter_2.pth')
    first = torch.load(work_dir / 'iter_2.pth', weights_only=True)
    assert first['meta']['iter'] == 2
    assert first[KEY]['vocabulary_name'] == 'shapes'

    run_tool(
        'train.py',
        config_file,
        '--resume',
        '--cfg-options',
        'train_cfg.max_iters=3',
    )
    second = torch.load(work_dir / 'iter_3.pth', weights_only=True)
    assert second['meta']['iter'] == 3
    for content, count in ((first, 2), (second, 3)):
        assert int(content['optimizer']['state'][0]['step']) == count


def test_work_dir_and_checkpoint_may_be_named(config_file, run_tool, tmp_path):
    options = ['--cfg-options', 'val_cfg=None', 'val_dataloader=None']
    options += ['val_evaluator=None']
    first, second = tmp_path / 'first', tmp_path / 'second'
    run_tool(
        'train.py',
        config_file,
        '--work-dir',
        first,
        *options,
        'train_cfg.max_iters=1',
    )
    run_tool(
        'train.py',
        config_file,
        '--work-dir',
        second,
        '--resume',
        first / 'iter_1.pth',
        *options,
    )
    assert [path.name for path in second.glob('*.pth')] == ['iter_2.pth']


@pytest.fixture
def built(monkeypatch):
    """Configs that runs were built from; nothing is run."""
    configs = []

    class Built(BaseException):
        """Ends a tool where its run would begin."""

    def from_cfg(config):
        configs.append(config)
        raise Built

    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', from_cfg)
    return configs, Built


def test_mixed_precision_without_gpu_is_refused(
    config_file, run_tool, built, capsys
):
    with pytest.raises(SystemExit) as caught:
        run_tool('train.py', config_file, '--amp')
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        'train: --amp: mixed precision training needs a GPU\n'
    )
    assert built[0] == []


def test_options_reach_the_config(
    config_file, checkpoint, run_tool, built, monkeypatch
):
    configs, done = built
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(done):
        run_tool(
            'train.py', config_file, '--amp', '--auto-scale-lr', '--resume'
        )
    with pytest.raises(done):
        run_tool('train.py', config_file, '--resume', checkpoint)
    with pytest.raises(done):
        run_tool('train.py', config_file)
    everything, resumed, plain = configs
    assert everything.optim_wrapper.type == 'AmpOptimWrapper'
    assert everything.optim_wrapper.loss_scale == 'dynamic'
    assert everything.optim_wrapper.optimizer == plain.optim_wrapper.optimizer
    assert everything.auto_scale_lr.enable
    assert (everything.resume, everything.load_from) == (True, None)
    assert (resumed.resume, resumed.load_from) == (
        True,
        str(checkpoint),
    )
    assert (plain.resume, plain.load_from) == (False, None)
    assert plain.optim_wrapper.type == 'OptimWrapper'
    assert not plain.auto_scale_lr.enable


def test_resume_survives_a_note_that_was_cut_short(
    config_file, checkpoint, run_tool, built, tmp_path
):
    configs, done = built
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    (work_dir / 'last_checkpoint').touch()
    command = ('train.py', config_file, '--resume', '--work-dir', work_dir)
    with pytest.raises(done):
        run_tool(*command)
    checkpoint.rename(work_dir / 'iter_7.pth')
    with pytest.raises(done):
        run_tool(*command)
    assert [(x.resume, x.load_from) for x in configs] == [
        (False, None),
        (True, str(work_dir / 'iter_7.pth')),
    ]


def test_mistyped_option_ends_the_run(config_file, run_tool, built, capsys):
    with pytest.raises(SystemExit) as caught:
        run_tool(
            'train.py',
            config_file,
            '--cfg-options',
            'optim_wrapper.optimiser_.lr=1',
        )
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('train: --cfg-options optim_wrapper.optimiser_')
    assert "config has no 'optimiser_' there" in line
    assert built[0] == []


def test_missing_data_ends_in_a_sentence(
    config_file, run_tool, tmp_path, capsys
):
    with pytest.raises(SystemExit) as caught:
        run_tool(
            'train.py',
            config_file,
            *(
                '--cfg-options',
                f'train_dataloader.dataset.data_root={tmp_path}',
            ),
        )
    assert caught.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith('train: no ')


@pytest.mark.slow
def test_two_processes_hold_a_part_of_the_weights_each(
    tiny_run_config, repo, tmp_path
):
    large = Config.fromfile(repo / 'configs/_base_/large.py')
    config = tiny_run_config
    config.runner_type, config.strategy = 'FlexibleRunner', large.sharded
    for key in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            config.pop(f'{key}_{part}')
    path = tmp_path / 'sharded.py'
    config.dump(path)
    done = run_warm(
        [repo / 'tools/train.py', path, '--launcher', 'pytorch'],
        cwd=tmp_path,
        processes=2,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / 'work_dir/iter_2.pth'
    sizes = [(folder / f'rank{rank}.pth').stat().st_size for rank in (0, 1)]
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.parametrize(
    ('method', 'iteration'),
    [('loss', 'in iteration 1,'), ('predict', 'validation after iteration 2')],
)
def test_out_of_memory_ends_in_a_sentence(
    config_file, run_tool, monkeypatch, method, iteration
):
    """A real refusal: no computer has 2 ** 52 bytes."""

    def grow(self, *arguments, **options):
        torch.empty(2**50)

    monkeypatch.setattr(FreeSeg, method, grow)
    with pytest.raises(SystemExit) as caught:
        run_tool('train.py', config_file)
    text = str(caught.value)
    assert text.startswith('out of memory in ')
    assert iteration in text
    assert 'you tried to allocate 4503599627370496 bytes' in text
    assert 'batch_size=' in text


def test_other_errors_keep_their_traceback(config_file, run_tool, monkeypatch):
    def fail(self, *arguments, **options):
        raise RuntimeError('shapes differ')

    monkeypatch.setattr(FreeSeg, 'loss', fail)
    with pytest.raises(RuntimeError, match='shapes differ'):
        run_tool('train.py', config_file)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ({'state_dict': {'a': torch.tensor([1.0, torch.nan])}}, 'a holds NaN'),
        ({'model': {'b': torch.tensor(torch.inf)}}, 'b holds NaN or infini'),
        ({'c': torch.tensor(-torch.inf)}, 'c holds NaN or infinities'),
        ([torch.ones(1)], 'expected a checkpoint, a dictionary, got a list'),
        (None, 'start.pth can not be found'),
    ],
)
def test_weights_to_start_from_are_looked_at(
    config_file, run_tool, built, tmp_path, capsys, content, words
):
    path = tmp_path / 'start.pth'
    if content is not None:
        torch.save(content, path)
    with pytest.raises(SystemExit) as caught:
        run_tool('train.py', config_file, '--cfg-options', f'load_from={path}')
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'train: {path}')
    assert words in line
    assert built[0] == []


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (
            ['--cfg-options', 'load_from=5'],
            'load_from is 5, expected the name',
        ),
        (['--resume', ''], "load_from is '', expected the name"),
        (
            ['--cfg-options', 'optim_wrapper.optimizer.lr=nan'],
            'builds no training (ValueError: Invalid learning rate: nan)',
        ),
        (
            ['--cfg-options', 'optim_wrapper.optimizer.lr=1e99'],
            'learning rates [1e+98, 1e+99] are above 3.4',
        ),
        (['--cfg-options', 'optim_wrapper=5'], 'builds no training (TypeErr'),
        (
            ['--cfg-options', 'param_scheduler.0.begin=x'],
            'builds no training (TypeError: ',
        ),
        (
            ['--cfg-options', 'param_scheduler.0.type=Nothing'],
            'builds no training (KeyError: ',
        ),
        (['--cfg-options', 'default_hooks=5'], 'builds no training (Attribut'),
        (['--cfg-options', 'env_cfg=5'], 'builds no training (Attribute'),
        (
            ['--cfg-options', 'model.panoptic_head.num_queries=-5'],
            'builds no training (RuntimeError: ',
        ),
        (
            ['--cfg-options', 'train_dataloader.dataset.pipeline=5'],
            'builds no training (TypeError: ',
        ),
        (
            ['--cfg-options', 'train_cfg.max_iters=1.5'],
            'builds no training (AssertionError: `max_iters` should be',
        ),
        (
            ['--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'],
            'the config has no auto_scale_lr',
        ),
    ],
)
def test_settings_that_no_training_has(
    config_file, run_tool, capsys, arguments, words
):
    with pytest.raises(SystemExit) as caught:
        run_tool('train.py', config_file, *arguments)
    assert caught.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith('train: ')
    assert words in line


def test_weights_alone_are_not_resumed(
    config_file, checkpoint, run_tool, capsys
):
    content = torch.load(checkpoint, weights_only=True)
    torch.save({'state_dict': content['state_dict']}, checkpoint)
    with pytest.raises(SystemExit, match='train: cannot resume: the checkp'):
        run_tool('train.py', config_file, '--resume', checkpoint)
