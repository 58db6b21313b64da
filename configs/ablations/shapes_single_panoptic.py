"""Table 7 on shapes, train paradigm, single task: panoptic labels alone."""

_base_ = '../freeseg/shapes.py'

paper_row = 'table7/single_panoptic'
train_dataloader = dict(dataset=dict(tasks=('panoptic',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[2]]
model = dict(test_cfg=dict(tasks=['panoptic'], prompt_tuning=dict(steps=1)))
test_dataloader = dict(batch_size=1)  # tuned for each image by itself
