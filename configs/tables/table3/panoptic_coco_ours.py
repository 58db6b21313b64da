"""Table 3, COCO, Ours: FreeSeg.

Nothing to train: the weights and the test of
table1/semantic_coco_ours.py give this row too.
"""

_base_ = '../table1/semantic_coco_ours.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 31.4, 'panoptic/SQ_seen': 78.3,
    'panoptic/RQ_seen': 38.9, 'panoptic/PQ_unseen': 29.8,
    'panoptic/SQ_unseen': 79.2, 'panoptic/RQ_unseen': 37.6,
}  # fmt: skip
weights = 'table1/semantic_coco_ours'
