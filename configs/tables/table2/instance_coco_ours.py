"""Table 2, COCO, Ours: FreeSeg.

Nothing to train: the weights and the test of
table1/semantic_coco_ours.py give this row too.
"""

_base_ = '../table1/semantic_coco_ours.py'
paper = {
    '_delete_': True, 'instance/mAP_seen': 23.7, 'instance/mAP_unseen': 20.6,
    'instance/mAP': 22.8, 'instance/AP50': 36.0, 'instance/AP75': 24.1,
}  # fmt: skip
weights = 'table1/semantic_coco_ours'
