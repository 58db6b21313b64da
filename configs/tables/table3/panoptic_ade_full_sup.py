"""Table 3, ADE20K, Full Sup.: FreeSeg trained on seen and unseen classes.

Nothing to train: the weights and the test of
table1/semantic_ade_full_sup.py give this row too.
"""

_base_ = '../table1/semantic_ade_full_sup.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 35.3, 'panoptic/SQ_seen': 78.1,
    'panoptic/RQ_seen': 43.9, 'panoptic/PQ_unseen': 30.6,
    'panoptic/SQ_unseen': 74.2, 'panoptic/RQ_unseen': 37.5,
}  # fmt: skip
weights = 'table1/semantic_ade_full_sup'
