"""The shapes run with a convolutional miniature CLIP as the backbone.

Scenes are enlarged, so that an object covers several cells of the last map.

Data: freeseg-mm shapes make data/shapes
CLIP: freeseg-mm shapes clip data/shapes data/shapes_convclip --steps 1600
    --views wide_windows --groups 1 --lr 2.5e-3 --threads 1
    --model configs/clip/shapes_convclip.json
Train: tools/train.py configs/freeseg/shapes_convclip.py
"""

_base_ = './shapes.py'

crop_size = (256, 256)
test_size = 256
max_iters = 500

batch_augments = [
    dict(_base_.batch_augments[0], size=crop_size),
    _base_.batch_augments[1],
]
resize = dict(type='Resize', scale=(8 * test_size, test_size), keep_ratio=True)
test_pipeline = [dict(type='LoadImageFromFile'), resize, _base_.pack_test]

model = dict(
    data_preprocessor=dict(
        # CLIP's own, times 255
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        batch_augments=batch_augments,
    ),
    clip=dict(
        model='data/shapes_convclip/shapes_convclip.json',
        pretrained='data/shapes_convclip/shapes_convclip.pt',
    ),
    backbone=dict(_delete_=True, type='freeseg_mm.CLIPBackbone'),
    panoptic_head=dict(in_channels=[40, 80, 160, 320]),
    mask_classifier=dict(
        _delete_=True, type='freeseg_mm.MaskPoolClassifier', source='backbone'
    ),
)
train_dataloader = dict(
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
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters),
]
train_cfg = dict(max_iters=max_iters)
