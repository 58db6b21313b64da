"""Self-training: learn unseen classes from one's own sure predictions."""

from freeseg_mm.datasets.pseudo_labels import PseudoLabelSettings

from .labelling import Labelling
from .rounds import SelfTraining

__all__ = ['Labelling', 'PseudoLabelSettings', 'SelfTraining']
