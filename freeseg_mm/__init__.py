"""FreeSeg: open-vocabulary segmentation as a plugin of OpenMMLab."""

import importlib
from typing import Any

from .version import __version__

__all__ = ['FreeSegInferencer', '__version__']


def __getattr__(name: str) -> Any:
    """Import the inferencer, and with it all models, when it is used."""
    if name != 'FreeSegInferencer':
        raise AttributeError(f'module {__name__!r} has no {name!r}')
    importlib.import_module('.registry', __name__)  # checks OpenMMLab first
    return importlib.import_module('.apis', __name__).FreeSegInferencer
