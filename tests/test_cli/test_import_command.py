"""The command line of freeseg-mm import, and docs/own_data.md."""

import json
import re
import shlex
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

RECIPES = ('Panoptic', 'Semantic', 'Instances')


@pytest.fixture
def imported(run):
    """Run the command: exit status, output, errors without the bar."""

    def imported(*arguments):
        status, out, told = run('import', *arguments)
        errors = [
            line
            for line in told.replace('\r', '\n').splitlines()
            if line.startswith('freeseg-mm import ')
        ]
        return status, out, errors

    return imported


@pytest.fixture
def my_data(shapes_world, tmp_path):
    """The shapes world under the names that the document uses."""
    root = tmp_path / 'my_data'
    root.mkdir()
    words = json.loads((shapes_world / 'vocabulary.json').read_text())
    (root / 'classes.txt').write_text('\n'.join(words['classes']))
    labels = shapes_world / 'annotations'
    for split in ('train', 'val'):
        shutil.copytree(shapes_world / split, root / split)
        shutil.copytree(labels / f'panoptic_{split}', root / f'{split}_pngs')
        shutil.copytree(labels / f'semantic_{split}', root / f'{split}_masks')
    return root


def copy_json(shapes_world, my_data, kind):
    for split in ('train', 'val'):
        shutil.copy(
            shapes_world / f'annotations/{kind}_{split}.json',
            my_data / f'{split}.json',
        )


def recipe_of(repo, name):
    """The commands of a recipe, and its config."""
    text = (repo / 'docs/own_data.md').read_text('utf-8')
    section = re.search(rf'^## \d\. {name}\n(.*?)^## ', text, re.S | re.M)[1]
    (shell,) = re.findall(r'```bash\n(.*?)```', section, re.S)
    (config,) = re.findall(r'```python\n(.*?)```', section, re.S)
    return shell.replace('\\\n', ' ').splitlines(), config


@pytest.mark.slow
@pytest.mark.parametrize('name', RECIPES)
def test_recipe_leads_to_a_trained_iteration(
    name, repo, imported, shapes_world, my_data, tiny_run_config, monkeypatch
):
    commands, text = recipe_of(repo, name)
    assert len(commands) == 3
    assert len(text.splitlines()) <= 10
    if name != 'Semantic':
        copy_json(shapes_world, my_data, name.lower())
    monkeypatch.chdir(my_data.parent)
    for command in commands[:2]:
        words = shlex.split(command)
        assert words[:2] == ['freeseg-mm', 'import']
        code, _, errors = imported(*words[2:], '--workers', '1')
        assert (code, errors) == (0, [])
    assert shlex.split(commands[2]) == [
        'python',
        'tools/train.py',
        'my_run.py',
    ]

    path = my_data.parent / 'my_run.py'
    path.write_text(text.replace("'configs/", f"'{repo}/configs/"))
    config = Config.fromfile(path)
    # the same run, small
    tasks = config.model.test_cfg.tasks
    config.model = tiny_run_config.model
    config.model.test_cfg.tasks = tasks
    for loader in ('train', 'val', 'test'):
        small = tiny_run_config[f'{loader}_dataloader']
        own = config[f'{loader}_dataloader']
        own.dataset.pipeline = small.dataset.pipeline
        own.update(batch_size=2, num_workers=0, persistent_workers=False)
    config.train_cfg.update(max_iters=1, val_interval=1)
    config.work_dir = str(my_data.parent / 'work_dir')
    config.experiment_name = tiny_run_config.experiment_name

    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 1
    words = runner.train_dataloader.dataset.vocabulary
    assert all(words.is_seen)
    scores = runner.message_hub.log_scalars
    measured = {'Semantic': 'semantic', 'Instances': 'instance'}
    families = {
        key.split('/')[1] for key in scores if key.startswith('val/')
    } & {'semantic', 'instance', 'panoptic'}
    assert families == (
        {measured[name]}
        if name in measured
        else {'semantic', 'instance', 'panoptic'}
    )
    losses = [
        value.current()
        for key, value in scores.items()
        if key.startswith('train/') and 'loss' in key
    ]
    assert losses
    assert torch.as_tensor(losses).isfinite().all()


def test_repeated_import_says_so(imported, my_data, tmp_path):
    arguments = ['semantic', tmp_path / 'out', '--images', my_data / 'train']
    arguments += ['--masks', my_data / 'train_masks']
    arguments += ['--classes', my_data / 'classes.txt']
    code, out, _ = imported(*arguments)
    assert code == 0
    assert 'train: 8 of 8 images to prepare' in out
    assert 'serves for: semantic, panoptic (there are no things)' in out
    code, out, _ = imported(*arguments)
    assert code == 0
    assert 'nothing to do: all annotations were there already' in out


def test_options_reach_the_result(imported, my_data, tmp_path):
    names = (my_data / 'classes.txt').read_text().splitlines()
    code, _, _ = imported(
        *('semantic', tmp_path / 'out', '--split', 'first', '--copy'),
        *('--images', my_data / 'train', '--masks', my_data / 'train_masks'),
        *('--classes', my_data / 'classes.txt', '--things', names[0]),
        *('--unseen', names[1], names[2]),
    )
    assert code == 0
    content = json.loads((tmp_path / 'out/vocabulary.json').read_text())
    assert content['things'] == names[:1]
    assert content['unseen'] == names[1:3]
    assert not (tmp_path / 'out/first').is_symlink()


@pytest.mark.parametrize('rest', [[], ['--rest', 'table'], ['--ignore-rest']])
def test_rest_of_instances(imported, shapes_world, my_data, tmp_path, rest):
    copy_json(shapes_world, my_data, 'instances')
    code, _, _ = imported(
        *('instances', tmp_path / 'out', '--images', my_data / 'train'),
        *('--json', my_data / 'train.json', *rest),
    )
    assert code == 0
    content = json.loads((tmp_path / 'out/vocabulary.json').read_text())
    stuff = set(content['classes']) - set(content['things'])
    assert (
        stuff
        == {
            '': {'background'},
            '--rest': {'table'},
            '--ignore-rest': set(),
        }[rest[0] if rest else '']
    )


def test_mistake_is_one_sentence(imported, my_data, tmp_path):
    path = my_data / 'train_masks' / '000001.png'
    Image.new('L', (64, 64), 200).save(path)
    code, _, errors = imported(
        *('semantic', tmp_path / 'out', '--images', my_data / 'train'),
        *('--masks', my_data / 'train_masks'),
        *('--classes', my_data / 'classes.txt'),
    )
    assert code == 1
    assert len(errors) == 1
    assert f'{path} has label 200; expected 0 to ' in errors[0]
