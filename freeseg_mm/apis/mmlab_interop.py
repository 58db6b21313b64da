"""Vocabularies and options for mmdet's and mmseg's inference functions."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from freeseg_mm.models.predict_options import PredictOverrides
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.run_config import find_test_pipeline, read_config
from freeseg_mm.visualization import class_colours

from .vocabulary import read_classes

if TYPE_CHECKING:
    from typing_extensions import Unpack


def mmseg_config(config: str | Path | Config) -> Config:
    """A config as ``MMSegInferencer`` wants it.

    It refuses other visualizers than mmseg's, and takes for mmseg's what is
    named without a prefix, where our configs mean mmdet's. mmseg's functions
    and all of mmdet's take our configs as they are.

    Args:
        config: A config file or object, which is not changed.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if isinstance(config, Config):
        changed = deepcopy(config)
    else:
        changed = read_config(Path(config))
    changed.visualizer = {'type': 'mmseg.SegLocalVisualizer'}
    changed.model._scope_ = 'mmdet'
    # the first is looked for by its name, and replaced
    for step in find_test_pipeline(changed)[1:]:
        if '.' not in step.type:
            step.type = f'mmdet.{step.type}'
    return changed


def set_classes(
    model: FreeSeg,
    vocabulary: Vocabulary,
    **options: 'Unpack[PredictOverrides]',
) -> None:
    """Let a model predict these classes from now on, and draw them.

    For ``inference_detector``, ``DetInferencer``, ``inference_model`` and
    ``MMSegInferencer``, which know nothing of vocabularies and tasks. Names
    and colours for their visualizers are written into
    ``model.dataset_meta``.

    Args:
        model: What ``init_detector`` or ``init_model`` gave, or the ``model``
            of an inferencer.
        vocabulary: The classes.
        **options: As ``tasks=['semantic']`` or ``score_thr=0.5``, see
            :class:`PredictOptions`.

    Raises:
        TypeError: If the model is no :class:`FreeSeg`, or there is no such
            option.
        ValueError: If CLIP cannot read a name or an option is out of range.
    """
    if not isinstance(model, FreeSeg):
        raise TypeError(f'expected a FreeSeg, got {type(model).__name__}')
    if negatives := options.get('negatives'):
        options['negatives'] = read_classes(negatives)
    model.set_defaults(vocabulary, **options)
    # Changed where it stands: a visualizer may hold the same dictionary.
    meta = model.__dict__.setdefault('dataset_meta', {})
    meta.pop('vocabulary', None)  # mmseg's visualizer refuses further keys
    meta['classes'] = vocabulary.names
    meta['palette'] = [
        tuple(int(value) for value in colour)
        for colour in class_colours(vocabulary.names)
    ]
