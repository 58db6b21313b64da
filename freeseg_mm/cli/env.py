"""``freeseg-mm env``: versions, devices and folders, for a bug report."""

import argparse
import os
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from freeseg_mm.utils.files import PACKAGE_FILES
from freeseg_mm.version import __version__

from .arguments import add_command

_TEXT = """\
Print what a bug report needs: versions, devices, caches and folders.

Packages that are absent or do not load are named with the reason, so this
works where nothing else does.
"""
_PACKAGES = (
    *('torch', 'torchvision', 'mmcv', 'mmengine', 'mmdet', 'mmseg'),
    *('mmpretrain', 'open_clip', 'numpy'),
)


def add_parser(commands: Any) -> None:
    """Add ``env`` to the subcommands."""
    add_command(
        commands,
        'env',
        help='print versions and devices, for a bug report',
        text=_TEXT,
        layout=lambda parser: None,
        run=run_env,
    )


def run_env(args: argparse.Namespace) -> None:
    """Print a line for each fact."""
    for name, value in collect_env().items():
        print(f'{name}: {value}')


def collect_env() -> dict[str, str]:
    """Collect facts by name, whatever is broken.

    Returns:
        Versions by import name with the distribution where it is called
        otherwise, the reason where OpenMMLab or mmcv's ops do not load, the
        folders of configs and caches, and what mmengine's ``collect_env``
        says of Python, compilers and devices.
    """
    found = {'freeseg_mm': f'{__version__}, files in {PACKAGE_FILES}'}
    distributions = metadata.packages_distributions()
    for name in _PACKAGES:
        found[name] = _version(name, distributions.get(name, []))
    found['OpenMMLab'] = _attempt(_check_openmmlab)
    found['mmcv.ops'] = _attempt(_describe_ops)
    found['CLIP cache'] = _attempt(_describe_clip_caches)
    found['FREESEG_MM_HOME'] = _attempt(_describe_home)
    try:
        by_mmengine = import_module('mmengine.utils.dl_utils').collect_env()
    except Exception as error:
        by_mmengine = {'mmengine.collect_env': f'fails: {error}'}
    return {**found, **{key: str(each) for key, each in by_mmengine.items()}}


def _version(module: str, distributions: list[str]) -> str:
    if not distributions:
        return 'not installed'
    name = distributions[0]
    version = metadata.version(name)
    same = name.replace('-', '_') == module
    return version if same else f'{version} ({name})'


def _attempt(describe: Any) -> str:
    try:
        return describe()
    except Exception as error:  # a broken package may raise anything
        return f'does not load: {error}'


def _check_openmmlab() -> str:
    from freeseg_mm.utils.openmmlab import check_versions

    check_versions()
    return 'versions fit'


def _describe_ops() -> str:
    ops = import_module('mmcv.ops')
    return (
        f'load, compiled by {ops.get_compiler_version()}, '
        f'CUDA {ops.get_compiling_cuda_version()}'
    )


def _describe_home() -> str:
    """Folder of the zoo, and whether the variable says so."""
    from freeseg_mm.zoo.models import zoo_home

    is_set = os.environ.get('FREESEG_MM_HOME')
    return str(zoo_home()) if is_set else f'not set, so {zoo_home()}'


def _describe_clip_caches() -> str:
    """Folders of open_clip's downloads, with the number of their files."""
    hub = import_module('huggingface_hub.constants').HF_HUB_CACHE
    folders = (Path('~/.cache/clip').expanduser(), Path(hub))
    return ', '.join(
        f'{folder} ({sum(1 for _ in folder.glob("*"))} entries)'
        if folder.is_dir()
        else f'{folder} (absent)'
        for folder in folders
    )
