"""What a user of the built package gets."""

import shutil
import subprocess
import sys
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
