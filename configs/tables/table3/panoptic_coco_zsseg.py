"""Table 3, COCO, ZSSeg: panoptic labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network.
Train: tools/dist_train.sh configs/tables/table3/panoptic_coco_zsseg.py 8
"""

_base_ = '../table7/single_panoptic.py'
paper = {
    '_delete_': True, 'panoptic/PQ_seen': 27.2, 'panoptic/SQ_seen': 76.1,
    'panoptic/RQ_seen': 34.7, 'panoptic/PQ_unseen': 9.7,
    'panoptic/SQ_unseen': 71.7, 'panoptic/RQ_unseen': 12.2,
}  # fmt: skip
custom_hooks = _base_.custom_hooks[:-1]  # no prompt tuning
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
)
