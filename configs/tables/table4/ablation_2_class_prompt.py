"""Table 4, row 2: adaptive class prompt.

Isolates class names as text, against row 1.
Train: tools/dist_train.sh configs/tables/table4/ablation_2_class_prompt.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 39.0, 'semantic/mIoU_unseen': 38.5,
    'instance/mAP_seen': 20.1, 'instance/mAP_unseen': 8.8,
    'panoptic/PQ_seen': 26.2, 'panoptic/SQ_seen': 70.7,
    'panoptic/RQ_seen': 32.5, 'panoptic/PQ_unseen': 12.0,
    'panoptic/SQ_unseen': 62.6, 'panoptic/RQ_unseen': 15.3,
}  # fmt: skip
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
