"""Table 1, ADE20K, ZSSeg: semantic labels alone, class prompt.

No task prompt, no interaction. An approximation: Mask2Former's proposals for
MaskFormer's, prompts learned with the network. Whether the paper's run had
self-training is not said; this has none.
Train: tools/dist_train.sh configs/tables/table1/semantic_ade_zsseg.py 8
"""

_base_ = '../../freeseg/ade20k.py'
paper = {
    'semantic/mIoU_seen': 39.1, 'semantic/mIoU_unseen': 20.3,
    'semantic/hIoU': 31.6,
}  # fmt: skip
train_dataloader = dict(dataset=dict(tasks=('semantic',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[0]]
model = dict(
    prompt_learner=dict(use_task_prompt=False),
    panoptic_head=dict(context_interaction=None),
    test_cfg=dict(tasks=['semantic']),
)
