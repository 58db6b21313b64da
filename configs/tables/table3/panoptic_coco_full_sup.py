"""Table 3, COCO, Full Sup.: FreeSeg trained on seen and unseen classes.

Nothing to train: the weights and the test of
table1/semantic_coco_full_sup.py give this row too.
"""

_base_ = '../table1/semantic_coco_full_sup.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 33.1, 'panoptic/SQ_seen': 78.5,
    'panoptic/RQ_seen': 39.5, 'panoptic/PQ_unseen': 34.1,
    'panoptic/SQ_unseen': 80.7, 'panoptic/RQ_unseen': 41.5,
}  # fmt: skip
weights = 'table1/semantic_coco_full_sup'
