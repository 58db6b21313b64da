"""Table 2, ADE20K, Full Sup.: FreeSeg trained on seen and unseen classes.

Nothing to train: the weights and the test of
table1/semantic_ade_full_sup.py give this row too.
"""

_base_ = '../table1/semantic_ade_full_sup.py'
paper = {
    '_delete_': True, 'instance/mAP_seen': 20.3, 'instance/mAP_unseen': 18.1,
    'instance/mAP': 20.1, 'instance/AP50': 31.4, 'instance/AP75': 21.1,
}  # fmt: skip
weights = 'table1/semantic_ade_full_sup'
