"""Names that a config writes, looked up in our scope."""

import pytest
from mmdet.models import DetDataPreprocessor
from mmengine.registry import DefaultScope, Registry, root
from torch.optim import AdamW

from freeseg_mm.models import FreeSeg
from freeseg_mm.registry import MODELS, SCOPE


def test_names_of_our_scope():
    assert MODELS.get('FreeSeg') is FreeSeg
    assert MODELS.get('freeseg_mm.FreeSeg') is FreeSeg
    assert MODELS.get('DetDataPreprocessor') is DetDataPreprocessor
    assert MODELS.get('NoSuchModel') is None
    assert MODELS.get('freeseg_mm.DetDataPreprocessor') is None


def test_every_kind_of_part_has_a_registry():
    """Else mmengine warns at each part of a base from `freeseg_mm::`."""
    roots = [each for each in vars(root).values() if type(each) is Registry]
    assert len(roots) > 15
    assert [each.name for each in roots if SCOPE not in each.children] == []
    assert root.OPTIMIZERS.children[SCOPE].get('AdamW') is AdamW


@pytest.mark.parametrize('scope', ['freeseg_mm', 'mmdet'])
def test_parts_are_built_in_either_scope(scope, tiny_model_config):
    with DefaultScope.overwrite_default_scope(scope):
        model = root.MODELS.build({**tiny_model_config, '_scope_': scope})
    assert type(model) is FreeSeg
    assert type(model.data_preprocessor) is DetDataPreprocessor
