"""Table 7, train paradigm, multi-task: labels of all tasks.

Nothing to train: the weights and the test of
table4/ablation_5_prompt_tuning.py give this row too.
"""

_base_ = '../table4/ablation_5_prompt_tuning.py'
paper = {
    '_delete_': True, 'semantic/mIoU_seen': 41.9, 'semantic/mIoU_unseen': 43.3,
    'instance/mAP_seen': 23.9, 'instance/mAP_unseen': 14.6,
    'panoptic/PQ_seen': 30.4, 'panoptic/SQ_seen': 76.7,
    'panoptic/RQ_seen': 38.1, 'panoptic/PQ_unseen': 19.2,
    'panoptic/SQ_unseen': 71.4, 'panoptic/RQ_unseen': 24.1,
}  # fmt: skip
