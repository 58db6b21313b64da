"""mmdet's Mask2Former (Swin-L, ImageNet-21k), with CLIP ViT-B/16 on crops."""

_base_ = './mask2former_swin_b.py'

model = dict(
    backbone=dict(embed_dims=192, num_heads=[6, 12, 24, 48]),
    panoptic_head=dict(num_queries=200, in_channels=[192, 384, 768, 1536]),
)

zoo = dict(
    _delete_=True,
    url=(
        'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
        'mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic/'
        'mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic_'
        '20220407_104949-82f8d28d.pth'
    ),
    file='mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.pth',
    sha256='82f8d28d',
    licence='Apache-2.0',
    source='OpenMMLab (mmdetection)',
    layout='mmdet',
    vocabulary='coco_panoptic133_all',
    reported=dict(coco=dict(PQ=57.6)),
)
