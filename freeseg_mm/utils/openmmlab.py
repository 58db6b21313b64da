"""OpenMMLab packages: the versions that work, made sure of once."""

import importlib
import re
import warnings
from contextlib import redirect_stdout
from functools import cache
from io import StringIO

from .files import PACKAGE_FILES

# By import name: the OneDL distributions carry the same modules. Upper bounds
# are mmdet's own; why these versions stands in requirements/mminstall.txt.
_MINIMUM_VERSIONS = {
    'mmengine': '0.10.3',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
}


def _release(version: str) -> tuple[int, ...]:
    """The first three numbers of a version: '0.10.3rc1' is (0, 10, 3)."""
    return tuple(int(number) for number in re.findall(r'\d+', version)[:3])


def check_versions() -> None:
    """Make sure that the OpenMMLab packages are there and new enough.

    Raises:
        ImportError: If one is absent, too old, or refuses the others; the
            message names what was found, the range and what to run.
    """
    remedy = (
        'run `make setup` in the checkout of freeseg_mm, or see '
        f'{PACKAGE_FILES / "requirements/mminstall.txt"} for versions that '
        'work together'
    )
    for name, minimum in _MINIMUM_VERSIONS.items():
        needed = f'freeseg_mm needs {name} >= {minimum}'
        try:
            found = importlib.import_module(name).__version__
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ImportError(f'{needed}, found none; {remedy}') from None
        except AssertionError as error:
            # How mmdet refuses an mmcv or mmengine it does not know.
            raise ImportError(f'{name} says: {error} Then {remedy}') from error
        if _release(found) < _release(minimum):
            raise ImportError(f'{needed}, found {found}; {remedy}')


def register_configs() -> None:
    """Let mmengine find ``freeseg_mm::freeseg/coco.py`` as a base."""
    from mmengine.config.utils import MODULE2PACKAGE

    # Not the distribution, whose folder mmengine takes for that of the
    # package: in an editable install it is not.
    MODULE2PACKAGE['freeseg_mm'] = 'freeseg_mm.version'


@cache
def prepare_openmmlab() -> None:
    """Check versions, name the configs to mmengine, allow resume states.

    Raises:
        ImportError: See :func:`check_versions`.
    """
    check_versions()
    from .torch_load import allow_resume_states

    register_configs()
    allow_resume_states()
    if _release(importlib.import_module('mmdet').__version__) > (3, 3, 0):
        # OneDL's says that it lacks a dataset and a metric of its own
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            importlib.import_module('mmdet.evaluation')
