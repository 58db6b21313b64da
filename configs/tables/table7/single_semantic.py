"""Table 7, train paradigm, single task: semantic labels alone.

Isolates training on all three kinds of labels, against multi_task.py. Tests
with prompt tuning, as that row does.
Train: tools/dist_train.sh configs/tables/table7/single_semantic.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {'semantic/mIoU_seen': 41.3, 'semantic/mIoU_unseen': 42.9}
train_dataloader = dict(dataset=dict(tasks=('semantic',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[0]]
model = dict(test_cfg=dict(tasks=['semantic']))
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
