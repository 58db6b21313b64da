"""Table 2, ADE20K, ZSSeg: instance labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network.
Train: tools/dist_train.sh configs/tables/table2/instance_ade_zsseg.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'instance/mAP_seen': 11.0, 'instance/mAP_unseen': 1.8, 'instance/mAP': 9.8,
    'instance/AP50': 17.8, 'instance/AP75': 9.5,
}  # fmt: skip
train_dataloader = dict(dataset=dict(tasks=('instance',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[1]]
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
    test_cfg=dict(tasks=['instance']),
)
