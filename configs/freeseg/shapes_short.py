"""The shapes run as the ablations have it: a third of the iterations.

Half of the scenes, in testing at their own size, the paper's weights of the
views, and no mask that is likelier nothing than not.

Train: tools/train.py configs/freeseg/shapes_short.py
"""

_base_ = './shapes.py'

test_size = 128
max_iters = 500

resize = dict(type='Resize', scale=(8 * test_size, test_size), keep_ratio=True)
test_pipeline = [dict(type='LoadImageFromFile'), resize, _base_.pack_test]

model = dict(
    mask_classifier=dict(mask_thr=0.5),
    test_cfg=dict(
        min_object_prob=0.4,
        ensemble=dict(seen_weight=0.8, unseen_weight=0.2),
    ),
)
train_dataloader = dict(dataset=dict(indices=1500))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters),
]
train_cfg = dict(max_iters=max_iters)
