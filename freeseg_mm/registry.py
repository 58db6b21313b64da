"""Registries of the package: children of mmengine's root, one scope.

Configs keep ``default_scope = 'mmdet'`` and always write our types as
``freeseg_mm.X``: that resolves from everywhere, also inside mmdet modules.
The first lookup imports the package named in ``locations``. A base from
``freeseg_mm::`` is built in our scope, where bare names are mmdet's too, and
every kind of part needs a registry. Importing this module, as everything that
is registered does, checks the OpenMMLab packages.
"""

# ruff: noqa: E402, I001 - the check comes before what it checks
from typing import Any

from .utils.openmmlab import prepare_openmmlab

prepare_openmmlab()

from mmengine.registry import Registry, root

SCOPE = 'freeseg_mm'


class _Registry(Registry):
    """Registry in which a name without a scope may be mmdet's."""

    def get(self, key: str) -> Any:
        """Look a name up here, in mmengine, then in mmdet.

        Args:
            key: Name, with or without its scope.

        Returns:
            Class or function; ``None`` if there is none of that name.
        """
        found = super().get(key)
        if found is None and '.' not in key:
            found = super().get(f'mmdet.{key}')
        return found


def _child(parent: Registry, location: str) -> Registry:
    return _Registry(
        parent.name, parent=parent, scope=SCOPE, locations=[location]
    )


MODELS = _child(root.MODELS, 'freeseg_mm.models')
DATASETS = _child(root.DATASETS, 'freeseg_mm.datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'freeseg_mm.datasets.transforms')
METRICS = _child(root.METRICS, 'freeseg_mm.evaluation')
HOOKS = _child(root.HOOKS, 'freeseg_mm.engine')
VISUALIZERS = _child(root.VISUALIZERS, 'freeseg_mm.engine')
# nothing of ours, but mmengine warns where a scope lacks one
for _parent in vars(root).values():
    if isinstance(_parent, Registry) and SCOPE not in _parent.children:
        _child(_parent, __name__)
