import argparse

import pytest
import torch
from mmengine.config import Config

from freeseg_mm.registry import MODELS
from freeseg_mm.utils import run_config


@pytest.fixture
def parse():
    """Parse arguments of a run."""
    parser = argparse.ArgumentParser()
    run_config.add_run_arguments(parser)
    return lambda *words: parser.parse_args([str(word) for word in words])


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / 'little.py'
    path.write_text(
        'max_iters = 9\n'
        "model = dict(type='A', clip=dict(pretrained='openai'))\n"
        'train_cfg = dict(max_iters=max_iters)\n'
        "custom_hooks = [dict(type='H'), dict(type='G', interval=1)]\n"
    )
    return path


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


@pytest.fixture
def started(monkeypatch):
    """Arguments that process groups were started with."""
    calls = []
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda *a: calls.append(a)
    )
    return calls


def test_work_dir_is_named_after_the_config(parse, config_file):
    config = run_config.read_run_config(parse(config_file))
    assert config.work_dir == 'work_dirs/little'
    assert config.launcher == 'none'


def test_work_dir_of_the_config_is_kept(parse, config_file):
    config_file.write_text("work_dir = 'there'")
    assert run_config.read_run_config(parse(config_file)).work_dir == 'there'


def test_work_dir_of_the_command_line_comes_first(parse, config_file):
    config_file.write_text("work_dir = 'there'")
    args = parse(
        config_file, '--work-dir', 'here', '--cfg-options', 'work_dir=no'
    )
    assert run_config.read_run_config(args).work_dir == 'here'


def test_missing_config_is_named(parse, tmp_path):
    path = tmp_path / 'absent.py'
    with pytest.raises(FileNotFoundError) as caught:
        run_config.read_run_config(parse(path))
    assert str(path) in str(caught.value)


def test_options_change_the_config(parse, config_file):
    args = parse(
        config_file,
        '--cfg-options',
        'model.clip.pretrained=random',
        'train_cfg.max_iters=3',
        'custom_hooks.1.interval=7',
        'model.clip.quick_gelu=True',  # an argument the config leaves out
        'load_from=weights.pth',
    )
    config = run_config.read_run_config(args)
    assert config.model.clip == {'pretrained': 'random', 'quick_gelu': True}
    assert config.model.type == 'A'
    assert config.train_cfg.max_iters == 3
    assert config.custom_hooks[1].interval == 7
    assert config.custom_hooks[0] == {'type': 'H'}
    assert config.load_from == 'weights.pth'


@pytest.mark.parametrize(
    ('option', 'part'),
    [
        ('model.clyp.pretrained=random', 'clyp'),
        ('model.clip.pretrained.tag=random', 'tag'),
        ('custom_hooks.2.interval=7', '2'),
        ('custom_hooks.first.interval=7', 'first'),
        ('test_cfg.fp16.on=True', 'test_cfg'),
    ],
)
def test_mistyped_parents_are_named(parse, config_file, option, part):
    if part == 'tag':  # the last part is free, all before it must exist
        option = 'model.clip.pretrained.tag.name=random'
    with pytest.raises(KeyError) as caught:
        run_config.read_run_config(parse(config_file, '--cfg-options', option))
    assert (
        f'--cfg-options {option.split("=")[0]}: the config has no {part!r} '
        'there; is it mistyped?' in str(caught.value)
    )


@pytest.mark.parametrize(
    ('option', 'part'),
    [
        ('modle.clip.pretrained=random', 'modle'),
        ('max_itres=3', 'max_itres'),
        ('max_iters=3', 'max_iters'),  # used up when the file was read
        ('cfg=3', 'cfg'),
    ],
)
def test_options_that_are_no_setting_of_a_run_are_named(
    parse, config_file, option, part
):
    with pytest.raises(KeyError) as caught:
        run_config.read_run_config(parse(config_file, '--cfg-options', option))
    message = str(caught.value)
    assert f'{part!r} is no setting of a run; is it mistyped?' in message
    assert 'has to be changed in a config file' in message


def test_every_entry_of_the_configs_is_a_setting_or_a_shared_variable(repo):
    for path in (repo / 'configs/freeseg').glob('*.py'):
        config = Config.fromfile(path)
        others = set(config) - run_config.run_settings()
        # what mmengine itself has read by then, and a value we pass on
        others -= {'custom_imports', 'vis_backends'}
        # the transforms that datasets share
        others -= {'load_gt', 'pack_gt', 'pack_test', 'batch_augments'}
        others -= {'resize', 'fixed_view'}
        # what large trainings take from their fragment
        others -= {'less_memory', 'averaged_weights', 'sharded'}
        plain = (int, str, tuple, list)
        assert all(isinstance(config[name], plain) for name in others), others


def test_mistyped_argument_of_the_model_is_refused(tiny_config):
    tiny_config.merge_from_dict({'model.promt_learner': None})
    with pytest.raises(TypeError, match="argument 'promt_learner'"):
        MODELS.build(tiny_config.model)


@pytest.mark.parametrize(
    'part', ['clip', 'prompt_learner', 'mask_classifier', 'panoptic_head']
)
def test_mistyped_argument_of_a_part_is_refused(tiny_config, part):
    tiny_config.merge_from_dict({f'model.{part}.fusoin': 'embed'})
    with pytest.raises(TypeError, match="argument 'fusoin'"):
        MODELS.build(tiny_config.model)


def test_local_rank_comes_from_the_environment_or_the_argument(
    parse, config_file, monkeypatch
):
    monkeypatch.setenv('LOCAL_RANK', '3')
    run_config.read_run_config(parse(config_file, '--local-rank', '1'))
    assert run_config.os.environ['LOCAL_RANK'] == '3'
    monkeypatch.delenv('LOCAL_RANK')
    run_config.read_run_config(parse(config_file, '--local-rank', '1'))
    assert run_config.os.environ['LOCAL_RANK'] == '1'


def test_unknown_launcher_is_refused(parse, config_file, capsys):
    with pytest.raises(SystemExit):
        parse(config_file, '--launcher', 'ssh')
    assert "invalid choice: 'ssh'" in capsys.readouterr().err


def test_one_process_needs_no_set_up(no_gpu, started):
    config = Config({'launcher': 'none'})
    run_config.init_distributed_on_cpu(config)
    assert started == []
    assert 'model_wrapper_cfg' not in config


def test_gpus_are_left_to_mmengine(monkeypatch, started):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    config = Config({'launcher': 'slurm'})
    run_config.init_distributed_on_cpu(config)
    assert started == []
    assert 'model_wrapper_cfg' not in config


def test_cpu_processes_talk_by_gloo(no_gpu, started):
    config = Config(
        {
            'launcher': 'pytorch',
            'find_unused_parameters': True,
            'model_wrapper_cfg': {'static_graph': True},
        }
    )
    run_config.init_distributed_on_cpu(config)
    assert started == [('gloo',)]
    assert config.model_wrapper_cfg == {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
        'find_unused_parameters': True,
        'static_graph': True,
    }


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_other_launchers_need_gpus(no_gpu, started, launcher):
    with pytest.raises(ValueError, match='needs GPUs') as caught:
        run_config.init_distributed_on_cpu(Config({'launcher': launcher}))
    assert str(caught.value) == (
        f'launcher {launcher!r} needs GPUs; without one, use '
        'tools/dist_train.sh, which launches with pytorch'
    )
    assert started == []


def test_checkpointing_that_loses_gradients_is_refused(config_file, parse):
    with config_file.open('a') as file:
        file.write("activation_checkpointing = ['panoptic_head']\n")
    with pytest.raises(ValueError, match=r'little.py: activation_.*with_cp'):
        run_config.read_run_config(parse(config_file))


def test_shards_on_a_cpu_are_told_so(started, no_gpu):
    config = Config(
        {'launcher': 'pytorch', 'strategy': {'type': 'FSDPStrategy'}}
    )
    run_config.init_distributed_on_cpu(config)
    assert config.strategy.model_wrapper.device_id == 'cpu'


@pytest.mark.parametrize(
    'loader',
    [
        None,
        'val',
        {},
        {'dataset': None},
        {'dataset': {'type': 'X'}},
        {'dataset': {'pipeline': []}},
        {'dataset': {'pipeline': 'X'}},
    ],
)
def test_nothing_to_test_with_is_said(loader):
    config = Config({'model': {}, 'test_dataloader': loader})
    with pytest.raises(ValueError, match='expected test_dataloader.dataset.p'):
        run_config.find_test_pipeline(config)


def test_pipeline_of_the_test_is_found_in_wrapped_data():
    steps = [{'type': 'LoadImageFromFile'}]
    config = Config(
        {'test_dataloader': {'dataset': {'dataset': {'pipeline': steps}}}}
    )
    assert run_config.find_test_pipeline(config) == steps
    with pytest.raises(ValueError, match='found test_dataloader=None'):
        run_config.find_test_pipeline(Config({}))
