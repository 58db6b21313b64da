"""Words in, masks out: the public interface for inference.

Names are looked up when they are asked for, so that reading a vocabulary does
not import models.
"""

import importlib
from typing import Any

_PLACES = {
    'FailedImage': 'results',
    'FoundMask': 'results',
    'FoundSegment': 'results',
    'FreeSegInferencer': 'inferencer',
    'ImageResult': 'results',
    'ImagesFailed': 'results',
    'Thresholds': 'thresholds',
    'mmseg_config': 'openmmlab',
    'read_words': 'words',
    'use_words': 'openmmlab',
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no {name!r}')
    module = importlib.import_module(f'{__name__}.{_PLACES[name]}')
    return getattr(module, name)
