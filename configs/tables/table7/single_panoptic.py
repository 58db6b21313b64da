"""Table 7, train paradigm, single task: panoptic labels alone.

Isolates training on all three kinds of labels, against multi_task.py. Tests
with prompt tuning, as that row does.
Train: tools/dist_train.sh configs/tables/table7/single_panoptic.py 8
"""

_base_ = '../../freeseg/coco.py'
paper = {
    'panoptic/PQ_seen': 30.1, 'panoptic/SQ_seen': 75.0,
    'panoptic/RQ_seen': 37.6, 'panoptic/PQ_unseen': 17.5,
    'panoptic/SQ_unseen': 69.7, 'panoptic/RQ_unseen': 21.1,
}  # fmt: skip
train_dataloader = dict(dataset=dict(tasks=('panoptic',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[2]]
model = dict(test_cfg=dict(tasks=['panoptic']))
custom_hooks = [*_base_.custom_hooks, dict(type='freeseg_mm.TTAPromptHook')]
