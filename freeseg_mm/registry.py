"""Registries of the package: children of mmengine's root, one scope.

Configs keep ``default_scope = 'mmdet'`` and always write our types as
``freeseg_mm.X``: that resolves from everywhere, also inside mmdet modules.
The first lookup imports the package named in ``locations``. Importing this
module, as everything that is registered does, checks the OpenMMLab packages.
"""

# ruff: noqa: E402, I001 - the check comes before what it checks
from .utils.openmmlab import prepare_openmmlab

prepare_openmmlab()

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import VISUALIZERS as ROOT_VISUALIZERS
from mmengine.registry import Registry

SCOPE = 'freeseg_mm'

MODELS = Registry(
    'model', parent=ROOT_MODELS, scope=SCOPE, locations=['freeseg_mm.models']
)
DATASETS = Registry(
    'dataset',
    parent=ROOT_DATASETS,
    scope=SCOPE,
    locations=['freeseg_mm.datasets'],
)
TRANSFORMS = Registry(
    'transform',
    parent=ROOT_TRANSFORMS,
    scope=SCOPE,
    locations=['freeseg_mm.datasets.transforms'],
)
METRICS = Registry(
    'metric',
    parent=ROOT_METRICS,
    scope=SCOPE,
    locations=['freeseg_mm.evaluation'],
)
HOOKS = Registry(
    'hook', parent=ROOT_HOOKS, scope=SCOPE, locations=['freeseg_mm.engine']
)
VISUALIZERS = Registry(
    'visualizer',
    parent=ROOT_VISUALIZERS,
    scope=SCOPE,
    locations=['freeseg_mm.engine'],
)
