"""Table 2, COCO, ZSSeg: instance labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network.
Train: tools/dist_train.sh configs/tables/table2/instance_coco_zsseg.py 8
"""

_base_ = '../table7/single_instance.py'
paper = {
    '_delete_': True, 'instance/mAP_seen': 13.7, 'instance/mAP_unseen': 3.0,
    'instance/mAP': 12.8, 'instance/AP50': 20.9, 'instance/AP75': 13.3,
}  # fmt: skip
custom_hooks = _base_.custom_hooks[:-1]  # no prompt tuning
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
