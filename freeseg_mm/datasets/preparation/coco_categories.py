"""COCO's category ids of the classes of the built-in vocabularies."""

from functools import cache

from freeseg_mm.structures import Vocabulary

VOCABULARY_NAME = 'coco_stuff171'

# Ids 1..90 were planned; these ten never got an instance.
_UNUSED_THING_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_THING_IDS = [i for i in range(1, 91) if i not in _UNUSED_THING_IDS]
_STUFF_IDS = range(92, 183)
_MERGED_IDS = range(184, 201)

# An official stuffthingmap holds category id - 1.
LABEL_OFFSET = 1
UNLABELLED = 255


@cache
def fine_categories() -> dict[int, str]:
    """Names of the 171 fine classes by category id, in vocabulary order.

    80 things with ids 1..90 and COCO-Stuff's 91 stuff classes, 92..182.
    """
    names = Vocabulary.load(VOCABULARY_NAME).names
    return dict(zip([*_THING_IDS, *_STUFF_IDS], names, strict=True))


@cache
def panoptic_categories() -> dict[int, str]:
    """Names of COCO panoptic's 133 classes by category id.

    80 things and 36 stuff classes with id and meaning of
    :func:`fine_categories`, then 17 merged ones, 184..200.
    """
    fine_ids = {name: id_ for id_, name in fine_categories().items()}
    merged_ids = iter(_MERGED_IDS)
    return {
        fine_ids[name] if name in fine_ids else next(merged_ids): name
        for name in Vocabulary.load('coco_panoptic133').names
    }


def is_thing_id(category_id: int) -> bool:
    """Whether a category id is that of a thing."""
    return category_id < _STUFF_IDS.start
