from .open_vocab_ins_metric import OpenVocabInsMetric
from .open_vocab_lvis_metric import OpenVocabLvisMetric
from .open_vocab_pan_metric import OpenVocabPanMetric
from .open_vocab_sem_metric import OpenVocabSemMetric

__all__ = [
    'OpenVocabInsMetric',
    'OpenVocabLvisMetric',
    'OpenVocabPanMetric',
    'OpenVocabSemMetric',
]
