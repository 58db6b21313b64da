"""mmdet's Mask2Former (Swin-T), with CLIP ViT-B/16 on crops."""

_base_ = './mask2former_r50.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        drop_path_rate=0.3,
        out_indices=(0, 1, 2, 3),
    ),
    panoptic_head=dict(in_channels=[96, 192, 384, 768]),
)

zoo = dict(
    _delete_=True,
    url=(
        'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
        'mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic/'
        'mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic_'
        '20220326_224553-3ec9e0ae.pth'
    ),
    file='mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic.pth',
    sha256='3ec9e0ae',
    licence='Apache-2.0',
    source='OpenMMLab (mmdetection)',
    layout='mmdet',
    vocabulary='coco_panoptic133_all',
    reported=dict(coco=dict(PQ=53.4)),
)
