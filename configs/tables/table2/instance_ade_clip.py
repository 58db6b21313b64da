"""Table 2, ADE20K, CLIP: CLIP's view alone of masks without text.

The proposals are learned on seen classes, without task or interaction. One
training gives this row of Tables 2 and 3.
Train: tools/dist_train.sh configs/tables/table2/instance_ade_clip.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'instance/mAP_seen': 5.6, 'instance/mAP_unseen': 3.5, 'instance/mAP': 5.4,
    'instance/AP50': 7.7, 'instance/AP75': 5.8,
}  # fmt: skip
model = dict(
    prompt_learner=dict(
        _delete_=True, type='freeseg_mm.FixedPrompt', task_template=None
    ),
    panoptic_head=dict(context_interaction=None),
    test_cfg=dict(ensemble=dict(mode='clip')),
)
