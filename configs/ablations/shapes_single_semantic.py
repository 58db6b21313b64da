"""Table 7 on shapes, train paradigm, single task: semantic labels alone."""

_base_ = '../freeseg/shapes_short.py'

paper_row = 'table7/single_semantic'
train_dataloader = dict(dataset=dict(tasks=('semantic',)))
val_evaluator = test_evaluator = [_base_.val_evaluator[0]]
model = dict(clip_prompt=None, test_cfg=dict(tasks=['semantic']))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='freeseg_mm.TTAPromptHook'),
]
test_dataloader = dict(batch_size=1)  # tuned for each image by itself
