"""What test-time prompt tuning does, by the truth."""

from .effect import TuningEffect, shown_classes
from .observed import ObservedFreeSeg, observe_tuning

__all__ = [
    'ObservedFreeSeg',
    'TuningEffect',
    'observe_tuning',
    'shown_classes',
]
