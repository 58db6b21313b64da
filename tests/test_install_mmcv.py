"""`tools/install_mmcv.py`: which sources it joins, and what it keeps.

pip is a stand-in that hands out a tiny sdist and "builds" an empty wheel.
"""

import hashlib
import importlib.util
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

OPS = 'mmcv/ops/csrc/pytorch'
WHEEL = 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'


@pytest.fixture
def tool(repo):
    path = repo / 'tools' / 'install_mmcv.py'
    spec = importlib.util.spec_from_file_location('install_mmcv', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pip:
    """Notes its calls; gives what it finds, and builds unless told not to."""

    def __init__(self, finds):
        self.finds = finds
        self.calls = []
        self.flags = []
        self.compiled = []
        self.broken = False

    def __call__(self, command, *arguments, flags=''):
        self.calls.append(command)
        if command == 'download':
            folder = Path(arguments[arguments.index('--dest') + 1])
            folder.mkdir()
            finds = self.finds
            if '--no-binary' in arguments:
                finds = finds.with_name('mmcv-2.1.0.tar.gz')
            (folder / finds.name).write_bytes(finds.read_bytes())
        elif command == 'wheel':
            if self.broken:
                raise subprocess.CalledProcessError(1, 'pip')
            source = arguments[-1]
            self.flags.append(flags)
            if source.is_dir():
                self.compiled = sorted((source / OPS).rglob('*.cpp'))
            folder = arguments[arguments.index('-w') + 1]
            folder.mkdir()
            (folder / WHEEL).write_text('built')
        else:
            self.installed = arguments[-1].read_text()


@pytest.fixture
def pip(tool, tmp_path, monkeypatch):
    """A stand-in for pip that finds an sdist known by its hash."""
    files = [f'cpu/{name}.cpp' for name in (*tool.LAST, *'abcdefgh')]
    files += ['pybind.cpp', 'nms.cpp', 'info.cpp']
    sdist = tmp_path / 'mmcv-2.1.0.tar.gz'
    with tarfile.open(sdist, 'w:gz') as archive:
        for name in files:
            source = tmp_path / Path(name).name
            source.write_text(f'// {name}')
            archive.add(source, f'mmcv-2.1.0/{OPS}/{name}')
    pip = Pip(sdist)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    monkeypatch.setattr(tool, 'KNOWN', (digest,))
    monkeypatch.setattr(tool, 'pip', pip)
    return pip


@pytest.fixture
def install(tool, pip, tmp_path, monkeypatch):
    def run(*options):
        arguments = ['mmcv==2.1.0', '--cache', str(tmp_path / 'kept')]
        monkeypatch.setattr(sys, 'argv', ['tool', *arguments, *options])
        pip.calls.clear()
        tool.main()
        return pip.calls

    return run


def test_known_sources_are_joined(tool, pip, install):
    assert install() == ['download', 'wheel', 'install']
    assert pip.installed == 'built'
    assert pip.flags == [tool.FLAGS]
    assert tool.FLAGS.startswith(sysconfig.get_config_var('CFLAGS'))
    assert tool.FLAGS.endswith(' -O1 -g0')
    names = [path.name for path in pip.compiled]
    assert names == [f'unit_{number}.cpp' for number in range(6)]


def test_each_file_is_in_one_unit(tool, pip, tmp_path):
    root = tool.unpack(pip.finds, tmp_path / 'sources')
    ops = root / OPS
    before = sorted(path.with_suffix('') for path in ops.rglob('*.cpp'))
    tool.join_files(root)
    included = []
    for unit in ops.rglob('*.cpp'):
        lines = unit.read_text().splitlines()
        names = [line.split('"')[1] for line in lines]
        assert all(name.endswith('.inc') for name in names)
        included += [(unit.parent / name).with_suffix('') for name in names]
        if unit.parent.name == 'cpu':  # of those that clash, one, at the end
            clash = [name.removesuffix('.inc') in tool.LAST for name in names]
            assert clash == [False, False, True]
    assert sorted(included) == before


def test_wheel_is_kept_for_the_same_torch_and_cuda(tool, install, monkeypatch):
    install()
    assert install() == ['install']
    assert install('--from-source') == ['download', 'wheel', 'install']
    assert install('--cuda', '13.0-9.0') == ['download', 'wheel', 'install']
    assert install('--cuda', '13.0-9.0') == ['install']
    monkeypatch.setattr(tool, 'version', lambda name: '2.99')
    assert install() == ['download', 'wheel', 'install']


def test_wheel_that_pip_finds_is_installed_but_not_kept(pip, install):
    found = pip.finds.with_name(WHEEL)
    found.write_text('found')
    pip.finds = found
    for _ in range(2):
        assert install() == ['download', 'install']
    assert pip.installed == 'found'
    assert install('--from-source') == ['download', 'wheel', 'install']


@pytest.mark.parametrize('option', [('--one-by-one',), ('--cuda', '13.0')])
def test_one_by_one_leaves_files_and_flags_alone(pip, install, option):
    install(*option)
    assert pip.flags == ['']
    assert pip.compiled == []


def test_other_sources_are_refused(tool, pip, install, monkeypatch):
    monkeypatch.setattr(tool, 'KNOWN', ('0' * 64,))
    with pytest.raises(
        tool.NotJoined, match='^mmcv-2.1.0.tar.gz is not one of the files'
    ):
        install()
    assert pip.calls == ['download']
    assert install('--one-by-one') == ['download', 'wheel', 'install']


def test_other_layout_is_refused(tool, tmp_path):
    (tmp_path / 'mmcv-3').mkdir()
    with pytest.raises(tool.NotJoined, match='files of mmcv-3 lie elsewhere'):
        tool.join_files(tmp_path / 'mmcv-3')


def test_joined_files_that_do_not_compile(tool, pip, install):
    pip.broken = True
    with pytest.raises(tool.NotJoined, match='^the joined files did not comp'):
        install()
    assert pip.calls == ['download', 'wheel']


def test_as_a_command(repo, tmp_path):
    """The exit status and the last line are what `make setup` reads."""
    (tmp_path / 'pip.py').write_text(
        'import os, sys, pathlib\n'
        'print(os.environ["PATH"], flush=True)\n'
        'folder = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])\n'
        'folder.mkdir()\n'
        '(folder / "mmcv-2.1.0.tar.gz").write_text("other")\n'
    )
    command = [repo / 'tools' / 'install_mmcv.py', 'mmcv==2.1.0', '--cache']
    result = subprocess.run(
        [sys.executable, *command, tmp_path / 'kept'],
        env={'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 3, result.stderr
    path, sentence = result.stdout.splitlines()
    # Without ninja, which lies beside Python, torch compiles with one job.
    assert path.split(':')[0] == str(Path(sys.executable).parent)
    assert sentence == 'mmcv-2.1.0.tar.gz is not one of the files known here'
    (tmp_path / 'pip.py').write_text('raise SystemExit(2)\n')
    result = subprocess.run(
        [sys.executable, *command, tmp_path / 'kept'],
        env={'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert 'Traceback' not in result.stderr
