"""Which keys of a model's train_cfg and test_cfg have an effect."""

from collections.abc import Sequence

from mmdet.utils import OptConfigType

TRAIN_KEYS = (
    'assigner',
    'num_points',
    'oversample_ratio',
    'importance_sample_ratio',
    'ignore_query_overlap',
    'num_negative_classes',
)
TEST_KEYS = (
    'tasks',
    'ensemble',
    'max_per_image',
    'min_object_prob',
    'object_score_thr',
    'overlap_thr',
    'prompt_tuning',
)


def refuse_unknown(
    name: str, config: OptConfigType, known: Sequence[str]
) -> None:
    """Refuse keys that would have no effect.

    Args:
        name: Of the config, below ``model``.
        config: The config, if there is one.
        known: The keys it may have.

    Raises:
        TypeError: If it has another.
    """
    unknown = sorted(set(config or ()) - set(known))
    if unknown:
        raise TypeError(
            f'model.{name} has unknown keys {unknown}; known are {list(known)}'
        )
