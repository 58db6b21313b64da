"""Table 4, row 3: adaptive task prompt.

Isolates the task prompt, against row 2.
Train: tools/dist_train.sh configs/tables/table4/ablation_3_task_prompt.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 40.8, 'semantic/mIoU_unseen': 41.3,
    'instance/mAP_seen': 22.2, 'instance/mAP_unseen': 11.8,
    'panoptic/PQ_seen': 28.5, 'panoptic/SQ_seen': 74.3,
    'panoptic/RQ_seen': 35.8, 'panoptic/PQ_unseen': 15.7,
    'panoptic/SQ_unseen': 67.4, 'panoptic/RQ_unseen': 19.8,
}  # fmt: skip
model = dict(panoptic_head=dict(context_interaction=None))
