"""Table 7, train paradigm, single task: instance labels alone.

Isolates training on all three kinds of labels, against multi_task.py. Tests
with prompt tuning, as that row does.
Train: tools/dist_train.sh configs/tables/table7/single_instance.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {'instance/mAP_seen': 24.1, 'instance/mAP_unseen': 12.7}
train_dataloader = dict(dataset=dict(tasks=('instance',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[1]]
model = dict(test_cfg=dict(tasks=['instance']))
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
