"""Table 3, ADE20K, Ours: FreeSeg.

Nothing to train: the weights and the test of
table1/semantic_ade_ours.py give this row too.
"""

_base_ = '../table1/semantic_ade_ours.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 32.8, 'panoptic/SQ_seen': 78.2,
    'panoptic/RQ_seen': 40.4, 'panoptic/PQ_unseen': 25.4,
    'panoptic/SQ_unseen': 75.2, 'panoptic/RQ_unseen': 30.6,
}  # fmt: skip
weights = 'table1/semantic_ade_ours'
