"""Table 4, row 1: no text guidance.

A vector for each class; those of unseen classes stay random.
Train: tools/dist_train.sh configs/tables/table4/ablation_1_no_text.py 8
"""

_base_ = [
    '../../_base_/models/no_text_r101c.py',
    '../../_base_/datasets/coco_stuff171.py',
    '../../_base_/schedules/adamw_60k.py',
    '../../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(batch_augments=_base_.batch_augments))
paper = {
    'semantic/mIoU_seen': 38.4, 'semantic/mIoU_unseen': 4.9,
    'instance/mAP_seen': 19.2, 'instance/mAP_unseen': 0.7,
    'panoptic/PQ_seen': 25.9, 'panoptic/SQ_seen': 70.4,
    'panoptic/RQ_seen': 32.0, 'panoptic/PQ_unseen': 0.1,
    'panoptic/SQ_unseen': 0.2, 'panoptic/RQ_unseen': 0.1,
}  # fmt: skip
