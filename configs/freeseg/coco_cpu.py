"""A few images of COCO on a CPU: 160 x 160, 60 iterations, random weights.

To see that all works before a machine with GPUs is asked for; the metrics
mean nothing. ``--subset`` lets the preparation take part of the images.
Data: freeseg-mm prepare coco SRC data/coco_stuff171 --subset
Train: tools/train.py configs/freeseg/coco_cpu.py
"""

_base_ = 'coco.py'

crop_size = (160, 160)
test_size = 160
max_iters = 60

batch_augments = [
    dict(_base_.batch_augments[0], size=crop_size),
    _base_.batch_augments[1],
]
resize = dict(type='Resize', scale=(4 * test_size, test_size), keep_ratio=True)
test_pipeline = [dict(type='LoadImageFromFile'), resize, _base_.pack_test]

model = dict(
    data_preprocessor=dict(batch_augments=batch_augments),
    clip=dict(model='configs/clip/shapes_clip.json', pretrained='random'),
    backbone=dict(init_cfg=None, norm_eval=False),
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        pipeline=[
            *_base_.load_gt,
            resize,
            dict(type='RandomCrop', crop_size=crop_size),
            *_base_.pack_gt,
        ]
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
param_scheduler = [dict(_base_.param_scheduler[0], end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(logger=dict(interval=10))
