"""Versions of the OpenMMLab packages that are refused."""

import subprocess
import sys
import types

import pytest

from freeseg_mm.utils.openmmlab import check_versions


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
        check_versions()


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
    check_versions()


def test_absent_package_is_named(monkeypatch):
    # None is how Python itself marks a module as not to be found.
    monkeypatch.setitem(sys.modules, 'mmcv', None)
    with pytest.raises(
        ImportError, match=r'needs mmcv >= 2\.1\.0, found none; run'
    ):
        check_versions()


def test_broken_package_shows_its_own_error(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, 'mmdet')
    (tmp_path / 'mmdet.py').write_text('import not_there', 'utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='not_there'):
        check_versions()


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
        check_versions()


def test_import_in_a_fresh_process_names_the_remedy(tmp_path, repo):
    (tmp_path / 'mmcv.py').write_text("__version__ = '2.0.0'", 'utf-8')
    result = subprocess.run(
        [sys.executable, '-c', 'import freeseg_mm.registry'],
        cwd=repo,
        env={'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(
        'ImportError: freeseg_mm needs mmcv >= 2.1.0, found 2.0.0;'
    )
