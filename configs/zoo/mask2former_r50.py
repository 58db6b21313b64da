"""mmdet's Mask2Former (ResNet-50), with CLIP ViT-B/16 on crops."""

_base_ = [
    '../_base_/models/mask2former.py',
    '../_base_/datasets/coco_panoptic133.py',
    '../_base_/default_runtime.py',
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    _base_.pack_test,
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

zoo = dict(
    url=(
        'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
        'mask2former_r50_8xb2-lsj-50e_coco-panoptic/'
        'mask2former_r50_8xb2-lsj-50e_coco-panoptic_'
        '20230118_125535-54df384a.pth'
    ),
    file='mask2former_r50_8xb2-lsj-50e_coco-panoptic.pth',
    sha256='54df384a',
    licence='Apache-2.0',
    source='OpenMMLab (mmdetection)',
    layout='mmdet',
    vocabulary='coco_panoptic133_all',
    reported=dict(coco=dict(PQ=52.0)),
)
