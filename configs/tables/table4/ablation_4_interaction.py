"""Table 4, row 4: semantic context interaction.

Isolates the interaction, against row 3; equals configs/freeseg/coco.py.
Train: tools/dist_train.sh configs/tables/table4/ablation_4_interaction.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'semantic/mIoU_seen': 42.1, 'semantic/mIoU_unseen': 42.6,
    'instance/mAP_seen': 23.7, 'instance/mAP_unseen': 13.9,
    'panoptic/PQ_seen': 30.0, 'panoptic/SQ_seen': 76.5,
    'panoptic/RQ_seen': 37.3, 'panoptic/PQ_unseen': 18.1,
    'panoptic/SQ_unseen': 70.5, 'panoptic/RQ_unseen': 23.2,
}  # fmt: skip
