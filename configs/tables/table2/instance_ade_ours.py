"""Table 2, ADE20K, Ours: FreeSeg.

Nothing to train: the weights and the test of
table1/semantic_ade_ours.py give this row too.
"""

_base_ = '../table1/semantic_ade_ours.py'
paper = {
    '_delete_': True, 'instance/mAP_seen': 16.3, 'instance/mAP_unseen': 15.4,
    'instance/mAP': 16.2, 'instance/AP50': 25.3, 'instance/AP75': 16.9,
}  # fmt: skip
weights = 'table1/semantic_ade_ours'
