"""Table 2, COCO, CLIP: CLIP's view alone of masks without text.

The proposals are learned on seen classes, without task or interaction.
configs/freeseg/coco_clip.py needs no training. One training gives this row of
Tables 2 and 3.
Train: tools/dist_train.sh configs/tables/table2/instance_coco_clip.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'instance/mAP_seen': 8.5, 'instance/mAP_unseen': 2.6, 'instance/mAP': 7.9,
    'instance/AP50': 11.8, 'instance/AP75': 7.5,
}  # fmt: skip
model = dict(
    prompt_learner=dict(
        _delete_=True, type='freeseg_mm.FixedPrompt', task_template=None
    ),
    panoptic_head=dict(context_interaction=None),
    test_cfg=dict(ensemble=dict(mode='clip')),
)
