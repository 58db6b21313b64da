"""Own words for mmdet's and mmseg's inference functions."""

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Vocabulary
from freeseg_mm.visualization import class_colours


def use_words(model: FreeSeg, vocabulary: Vocabulary) -> None:
    """Let a model look for these words from now on, and draw them.

    For ``inference_detector``, ``DetInferencer``, ``inference_model`` and
    ``MMSegInferencer``, which know nothing of vocabularies. Names and colours
    for their visualizers are written into ``model.dataset_meta``.

    Args:
        model: What ``init_detector`` or ``init_model`` gave, or the ``model``
            of an inferencer.
        vocabulary: The words.

    Raises:
        TypeError: If the model is no :class:`FreeSeg`.
        ValueError: If CLIP cannot read a name.
    """
    if not isinstance(model, FreeSeg):
        raise TypeError(f'expected a FreeSeg, got {type(model).__name__}')
    model.check_vocabulary(vocabulary)
    model.vocabulary = vocabulary
    # Changed where it stands: a visualizer may hold the same dictionary.
    meta = model.__dict__.setdefault('dataset_meta', {})
    meta.pop('vocabulary', None)  # mmseg's visualizer refuses further keys
    meta['classes'] = vocabulary.names
    meta['palette'] = [
        tuple(int(value) for value in colour)
        for colour in class_colours(vocabulary.names)
    ]
