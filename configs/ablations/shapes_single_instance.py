"""Table 7 on shapes, train paradigm, single task: instance labels alone."""

_base_ = '../freeseg/shapes.py'

paper_row = 'table7/single_instance'
train_dataloader = dict(dataset=dict(tasks=('instance',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[1]]
model = dict(test_cfg=dict(tasks=['instance'], prompt_tuning=dict(steps=1)))
test_dataloader = dict(batch_size=1)  # tuned for each image by itself
