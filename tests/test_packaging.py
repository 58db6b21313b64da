"""What a user of the built package gets, and what its import refuses."""

import shutil
import subprocess
import sys
import types
import zipfile
from importlib import metadata

import pytest

import freeseg_mm


@pytest.fixture(scope='module')
def wheel_names(repo, tmp_path_factory):
    """Names of all files in a wheel built from a copy of the checkout."""
    source = tmp_path_factory.mktemp('source')
    for name in ('setup.cfg', 'pyproject.toml', 'LICENSE'):
        shutil.copy(repo / name, source)
    for name in ('freeseg_mm', 'requirements'):
        shutil.copytree(
            repo / name,
            source / name,
            ignore=shutil.ignore_patterns('__pycache__'),
        )
    (source / 'README.md').write_text('freeseg_mm', 'utf-8')
    target = tmp_path_factory.mktemp('wheel')
    result = subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps']
        + ['--no-index', '--no-build-isolation', '-w', target, source],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    (wheel,) = target.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize('pattern', ['*.py', '*.json', '*.css'])
def test_wheel_holds_every_file_of_the_package(repo, wheel_names, pattern):
    ours = {
        path.relative_to(repo).as_posix()
        for path in (repo / 'freeseg_mm').rglob(pattern)
    }
    assert ours - wheel_names == set()


def test_wheel_holds_only_the_package(wheel_names):
    tops = {name.split('/')[0] for name in wheel_names}
    assert tops == {
        'freeseg_mm',
        f'freeseg_mm-{freeseg_mm.__version__}.dist-info',
    }


def test_installed_metadata():
    found = metadata.metadata('freeseg_mm')
    assert found['Version'] == freeseg_mm.__version__
    assert found['License'] == 'Apache-2.0'
    assert found['Requires-Python'] == '<3.13,>=3.10'


def test_environment_is_consistent():
    """No package misses another or refuses its version."""
    result = subprocess.run(
        [sys.executable, '-m', 'pip', 'check'], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def stub(monkeypatch, name, version):
    module = types.ModuleType(name)
    module.__version__ = version
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(
    ('name', 'version', 'minimum'),
    [
        ('mmcv', '2.0.1', '2.1.0'),
        ('mmengine', '0.10.2', '0.10.3'),
        ('mmdet', '3.2.0', '3.3.0'),
        ('mmdet', '2.28.2', '3.3.0'),
    ],
)
def test_old_version_is_refused(monkeypatch, name, version, minimum):
    stub(monkeypatch, name, version)
    with pytest.raises(
        ImportError,
        match=f'needs {name} >= {minimum}, found {version}; run `make setup`',
    ):
        freeseg_mm._check_openmmlab()


@pytest.mark.parametrize(
    'versions',
    [
        {'mmcv': '2.1.0', 'mmengine': '0.10.7', 'mmdet': '3.3.0'},
        {'mmcv': '2.3.6', 'mmengine': '0.10.12', 'mmdet': '3.5.1'},
        {'mmcv': '2.2.0rc1', 'mmengine': '0.10.3', 'mmdet': '3.10.0'},
    ],
)
def test_supported_versions_are_accepted(monkeypatch, versions):
    for name, version in versions.items():
        stub(monkeypatch, name, version)
    freeseg_mm._check_openmmlab()


def test_absent_package_is_named(monkeypatch):
    # None is how Python itself marks a module as not to be found.
    monkeypatch.setitem(sys.modules, 'mmcv', None)
    with pytest.raises(
        ImportError, match=r'needs mmcv >= 2\.1\.0, found none; run'
    ):
        freeseg_mm._check_openmmlab()


def test_broken_package_shows_its_own_error(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, 'mmdet')
    (tmp_path / 'mmdet.py').write_text('import not_there', 'utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='not_there'):
        freeseg_mm._check_openmmlab()


def test_refusal_of_mmdet_is_passed_on(monkeypatch, tmp_path):
    """PyPI's mmdet 3.3.0 asserts that mmcv is older than 2.2.0."""
    monkeypatch.delitem(sys.modules, 'mmdet')
    (tmp_path / 'mmdet.py').write_text(
        "assert False, 'MMCV==2.2.0 is used but incompatible.'", 'utf-8'
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ImportError, match=r'mmdet says: MMCV==2\.2\.0 .* run `make setup`'
    ):
        freeseg_mm._check_openmmlab()


def test_import_in_a_fresh_process_names_the_remedy(tmp_path, repo):
    (tmp_path / 'mmcv.py').write_text("__version__ = '2.0.0'", 'utf-8')
    result = subprocess.run(
        [sys.executable, '-c', 'import freeseg_mm.structures'],
        cwd=repo,
        env={'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(
        'ImportError: freeseg_mm needs mmcv >= 2.1.0, found 2.0.0;'
    )
