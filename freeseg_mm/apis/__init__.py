"""Words in, masks out: the public interface for inference.

Names are looked up when they are asked for, so that reading a vocabulary does
not import models.
"""

import importlib
from typing import Any

_PLACES = {
    'ClassifiedMask': 'results',
    'ImageError': 'results',
    'Instance': 'results',
    'PanopticSegment': 'results',
    'FreeSegInferencer': 'inferencer',
    'ImageClass': 'vocabulary',
    'ImageResult': 'results',
    'InferenceError': 'results',
    'RayPredictor': 'rows',
    'mmseg_config': 'mmlab_interop',
    'read_classes': 'vocabulary',
    'rows_to_coco': 'rows',
    'set_classes': 'mmlab_interop',
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no {name!r}')
    if _PLACES[name] in ('inferencer', 'mmlab_interop', 'rows'):
        importlib.import_module('freeseg_mm.registry')  # checks OpenMMLab
    module = importlib.import_module(f'{__name__}.{_PLACES[name]}')
    return getattr(module, name)
