"""What a user of the built package gets."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from test_docs_commands import COMMANDS, tool_of

import freeseg_mm

# Packages that the help of a command, or the package itself, must not load.
HEAVY = {
    *('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'open_clip'),
    *('numpy', 'matplotlib', 'PIL', 'rich', 'tqdm'),
}


@pytest.fixture(scope='module')
def wheel(repo, tmp_path_factory):
    """A wheel built from a copy of the checkout."""
    source = tmp_path_factory.mktemp('source')
    for name in ('setup.cfg', 'pyproject.toml', 'LICENSE', 'model-index.yml'):
        shutil.copy(repo / name, source)
    for name in ('freeseg_mm', 'configs', 'tools', 'requirements'):
        shutil.copytree(
            repo / name,
            source / name,
            symlinks=True,
            ignore=shutil.ignore_patterns('__pycache__'),
        )
    (source / 'README.md').write_text('freeseg_mm', 'utf-8')
    target = tmp_path_factory.mktemp('wheel')
    pip('wheel', '--no-build-isolation', '-w', target, source)
    (wheel,) = target.glob('*.whl')
    return wheel


def pip(command, *arguments):
    result = subprocess.run(
        [sys.executable, '-m', 'pip', command, '--quiet', '--no-deps']
        + ['--no-index', *arguments],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope='module')
def wheel_names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """Folder with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp('installed')
    pip('install', '--target', folder, wheel)
    return folder


@pytest.fixture(scope='module')
def run(installed, tmp_path_factory):
    """Run Python with the installed wheel, in a folder far from it."""
    away = tmp_path_factory.mktemp('away')

    def run(*words):
        result = subprocess.run(
            [sys.executable, '-W', 'ignore', *map(str, words)],
            capture_output=True,
            text=True,
            cwd=away,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'PYTHONPATH': str(installed),
            },
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run.folder = away
    return run


@pytest.mark.parametrize('pattern', ['*.py', '*.json', '*.css'])
def test_wheel_holds_every_file_of_the_package(repo, wheel_names, pattern):
    ours = {
        path.relative_to(repo).as_posix()
        for path in (repo / 'freeseg_mm').rglob(pattern)
    }
    assert ours - wheel_names == set()


def test_wheel_holds_configs_and_tools(repo, wheel_names):
    files = {
        path.relative_to(repo).as_posix()
        for path in (repo / 'configs').rglob('*.*')
        if path.suffix in {'.py', '.json', '.yml'}
    }
    assert len(files) > 90
    files |= {'model-index.yml', 'tools/train.py', 'tools/dist_train.sh'}
    files |= {'requirements/mminstall.txt', 'tools/install_mmcv.py'}
    assert {f'freeseg_mm/.mim/{file}' for file in files} <= wheel_names
    assert 'freeseg_mm/.mim/tools/setup.sh' not in wheel_names


def test_wheel_holds_only_the_package(wheel_names):
    tops = {name.split('/')[0] for name in wheel_names}
    assert tops == {
        'freeseg_mm',
        f'freeseg_mm-{freeseg_mm.__version__}.dist-info',
    }


def test_metafile_lists_the_configs(repo):
    """By names that `mim` and `DetInferencer` know; none has weights."""
    index = yaml.safe_load((repo / 'model-index.yml').read_text('utf-8'))
    models = [
        model
        for path in index['Import']
        for model in yaml.safe_load((repo / path).read_text('utf-8'))['Models']
    ]
    assert {model['Name']: model['Config'] for model in models} == {
        path.stem: path.relative_to(repo).as_posix()
        for path in (repo / 'configs/freeseg').glob('*.py')
    }
    assert {model['Weights'] for model in models} == {None}


def test_installed_metadata():
    found = metadata.metadata('freeseg_mm')
    assert found['Version'] == freeseg_mm.__version__
    assert found['License'] == 'Apache-2.0'
    assert found['Requires-Python'] == '<3.13,>=3.10'
    assert set(found.get_all('Provides-Extra')) == {
        *('webdemo', 'fast', 'ray', 'video', 'export'),
        *('tests', 'docs', 'lint'),
    }


def test_version_stands_in_one_place(repo):
    found = [
        path.relative_to(repo).as_posix()
        for pattern in ('*.*', 'freeseg_mm/**/*.py', 'docs/**/*.md')
        for path in repo.glob(pattern)
        if path.suffix in {'.py', '.md', '.cff', '.cfg', '.toml', '.yml'}
        and re.search(
            rf'\b{re.escape(freeseg_mm.__version__)}\b',
            path.read_text('utf-8'),
        )
    ]
    assert found == ['freeseg_mm/version.py']


@pytest.fixture(scope='module')
def requirements(repo):
    """Lines of `requirements/` and of the extras, with where they stand."""
    extras = configparser.ConfigParser()
    extras.read(repo / 'setup.cfg')
    lines = [
        (line, f'setup.cfg, {extra}')
        for extra, text in extras['options.extras_require'].items()
        if not text.startswith('file:')
        for line in text.split('\n')
    ]
    for path in sorted((repo / 'requirements').glob('*.txt')):
        lines += [(line, path.name) for line in path.read_text().split('\n')]
    return [
        (line, Requirement(line.partition('#')[0]), place)
        for line, place in lines
        if line.partition('#')[0].strip()
    ]


def test_requirements_agree(requirements):
    """What is pinned in one place is allowed in all others."""
    for _, pinned, _ in requirements:
        for exact in pinned.specifier:
            if exact.operator != '==':
                continue
            for _, other, place in requirements:
                if other.name == pinned.name:
                    assert exact.version in other.specifier, place
    names = {pinned.name for _, pinned, _ in requirements}
    assert {'torch', 'mmcv', 'onedl-mmcv', 'gradio', 'onnx'} <= names


def test_upper_bounds_say_why(requirements):
    bounded = [
        (line, requirement.name)
        for line, requirement, _ in requirements
        if any('<' in each.operator for each in requirement.specifier)
    ]
    assert {name for _, name in bounded} == {'numpy', 'gradio'}
    for line, _ in bounded:
        assert '# ' in line


def test_environment_is_consistent():
    """No package misses another or refuses its version."""
    result = subprocess.run(
        [sys.executable, '-m', 'pip', 'check'], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    'code', ['import freeseg_mm', 'from freeseg_mm.cli import main; HELP']
)
def test_nothing_heavy_is_imported(run, code):
    code = code.replace(
        'HELP', "\ntry: main(['--help'])\nexcept SystemExit: 0"
    )
    printed = run('-c', f'import sys; {code}\nprint(sorted(sys.modules))')
    loaded = {
        name.split('.')[0] for name in printed.splitlines()[-1].split("'")
    }
    assert 'freeseg_mm' in loaded
    assert loaded & HEAVY == set()


@pytest.mark.slow
def test_help_of_every_documented_command(run, installed):
    """In one process: each would import torch again."""
    tools = {tool_of(words)[0] for words in COMMANDS.values()}
    ours = sorted(
        str(installed / 'freeseg_mm/.mim' / tool)
        for tool in tools
        if tool.startswith('tools/')
    )
    assert len(ours) > 4
    actions = {
        tuple(words[1:3])
        for words in COMMANDS.values()
        if words[0] == 'freeseg-mm'
    }
    printed = run(
        '-c',
        'import runpy, sys\n'
        'import freeseg_mm\n'
        'from freeseg_mm.cli import main\n'
        'print(freeseg_mm.__file__)\n'
        'def attempt(run, *arguments, **options):\n'
        '    try:\n'
        '        run(*arguments, **options)\n'
        '    except SystemExit as stop:\n'
        '        assert not stop.code, arguments\n'
        f'for words in {sorted(actions)}:\n'
        '    group = words[0] in '
        "('bench', 'import', 'prepare', 'prompts', 'pseudo-labels', 'shapes',"
        " 'vocab')\n"
        "    attempt(main, [*words[:2 if group else 1], '--help'])\n"
        f'for tool in {ours}:\n'
        "    sys.argv = [tool, '--help']\n"
        "    attempt(runpy.run_path, tool, run_name='__main__')\n",
    )
    assert printed.startswith(str(installed))
    assert printed.count('usage: ') >= len({a[0] for a in actions}) + len(ours)


@pytest.fixture(scope='module')
def demo(run):
    """Folder in which the quick demo has run."""
    run('-m', 'freeseg_mm', 'demo', '--quick')
    return run.folder


@pytest.mark.slow
def test_commands_run_from_any_folder(run, demo, installed):
    """In one process: each would import torch again."""
    words = [
        'predict',
        'data/shapes/val/000007.jpg',
        '--classes',
        'grass, wood',
    ]
    weights = ['--checkpoint', 'work_dirs/demo/train/iter_3.pth']
    commands = [
        [*words, '--out', 'by_demo'],
        [*words, '--out', 'by_name', '--config', 'shapes', *weights],
        ['check', 'configs/freeseg/shapes.py'],
        ['report'],
        ['vocab', 'list'],
        ['env'],
    ]
    printed = run(
        '-c',
        'from freeseg_mm.cli import main\n'
        f'for words in {commands}:\n'
        "    print('=====')\n"
        '    assert not main(words), words\n',
    )
    _, _, _, checked, report, vocabularies, env = printed.split('=====\n')
    pictures = [
        sorted(path.name for path in (demo / name).rglob('*.png'))
        for name in ('by_demo', 'by_name')
    ]
    assert pictures[0] == pictures[1] != []
    assert 'nothing is broken' in checked
    assert '## Table 1' in report
    assert 'coco' in vocabularies
    assert str(installed) in env


CONFIG = """
_base_ = 'freeseg_mm::freeseg/shapes.py'
model = dict(
    clip=dict(model='configs/clip/shapes_clip.json', pretrained='random')
)
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_iters=1, val_interval=1)
"""


@pytest.mark.slow
def test_config_of_a_package_base_trains_and_tests(run, demo, installed):
    """Its parts are built in our scope, where mmdet's have to be found."""
    (demo / 'mine.py').write_text(CONFIG, 'utf-8')
    tools = installed / 'freeseg_mm/.mim/tools'
    printed = run(tools / 'train.py', 'mine.py')
    assert (demo / 'work_dirs/mine/iter_1.pth').is_file()
    assert 'panoptic/PQ_unseen' in printed
    assert 'Failed to search registry' not in printed


@pytest.mark.slow
def test_mmdet_finds_a_model_by_name(run, demo):
    printed = run(
        '-c',
        'import freeseg_mm.registry\n'
        'from mmdet.apis import DetInferencer\n'
        'from mmengine.hub import get_config\n'
        'from freeseg_mm.apis import read_classes, set_classes\n'
        "print(get_config('freeseg_mm::freeseg/coco.py').model.type)\n"
        "weights = 'work_dirs/demo/train/iter_3.pth'\n"
        "find = DetInferencer('shapes', weights, scope='freeseg_mm')\n"
        "names = read_classes(['grass'])\n"
        "set_classes(find.model, names, tasks=['instance'])\n"
        "(found,) = find('data/shapes/val/000007.jpg')['predictions']\n"
        'print(sorted(found))',
    )
    assert 'freeseg_mm.FreeSeg' in printed
    assert "'masks'" in printed.splitlines()[-1]


def test_without_mmcv_a_sentence_says_what_to_run(installed, tmp_path):
    code = (
        'import sys; sys.modules["mmcv"] = None\n'
        'from freeseg_mm.apis import FreeSegInferencer'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(installed)},
        capture_output=True,
        text=True,
    )
    last = result.stderr.splitlines()[-1]
    assert 'ImportError: freeseg_mm needs mmcv >= 2.1.0, found none' in last
    path = installed / 'freeseg_mm/.mim/requirements/mminstall.txt'
    assert str(path) in last
    assert path.is_file()
