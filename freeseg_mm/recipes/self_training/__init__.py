"""Self-training: learn unseen classes from one's own sure predictions."""

from .labelling import Labelling
from .rounds import SelfTraining
from .settings import PseudoLabelSettings

__all__ = ['Labelling', 'PseudoLabelSettings', 'SelfTraining']
