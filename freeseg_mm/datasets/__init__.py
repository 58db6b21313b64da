from .open_vocab_panoptic import OpenVocabPanopticDataset
from .transforms import LoadPanopticSegments, MultiTaskSampler

__all__ = [
    'LoadPanopticSegments',
    'MultiTaskSampler',
    'OpenVocabPanopticDataset',
]
