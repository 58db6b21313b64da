"""Table 2, COCO, Full Sup.: FreeSeg trained on seen and unseen classes.

Nothing to train: the weights and the test of
table1/semantic_coco_full_sup.py give this row too.
"""

_base_ = '../table1/semantic_coco_full_sup.py'
paper = {
    '_delete_': True, 'instance/mAP_seen': 24.9, 'instance/mAP_unseen': 25.1,
    'instance/mAP': 24.9, 'instance/AP50': 37.8, 'instance/AP75': 25.8,
}  # fmt: skip
weights = 'table1/semantic_coco_full_sup'
