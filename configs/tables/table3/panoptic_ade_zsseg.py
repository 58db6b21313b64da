"""Table 3, ADE20K, ZSSeg: panoptic labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network.
Train: tools/dist_train.sh configs/tables/table3/panoptic_ade_zsseg.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'panoptic/PQ_seen': 24.7, 'panoptic/SQ_seen': 70.7,
    'panoptic/RQ_seen': 32.2, 'panoptic/PQ_unseen': 2.5,
    'panoptic/SQ_unseen': 65.1, 'panoptic/RQ_unseen': 6.3,
}  # fmt: skip
train_dataloader = dict(dataset=dict(tasks=('panoptic',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[2]]
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
    test_cfg=dict(tasks=['panoptic']),
)
