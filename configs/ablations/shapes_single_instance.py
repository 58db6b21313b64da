"""Table 7 on shapes, train paradigm, single task: instance labels alone."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table7/single_instance'
train_dataloader = dict(dataset=dict(tasks=('instance',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[1]]
model = dict(clip_prompt=None, test_cfg=dict(tasks=['instance']))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='freeseg_mm.TTAPromptHook'),
]
test_dataloader = dict(batch_size=1)  # tuned for each image by itself
