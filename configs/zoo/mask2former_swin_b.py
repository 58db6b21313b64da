"""mmdet's Mask2Former (Swin-B, ImageNet-21k), with CLIP ViT-B/16 on crops."""

_base_ = './mask2former_swin_t.py'

model = dict(
    backbone=dict(
        pretrain_img_size=384,
        embed_dims=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=12,
    ),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)

zoo = dict(
    _delete_=True,
    url=(
        'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
        'mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic/'
        'mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic_'
        '20220329_230021-05ec7315.pth'
    ),
    file='mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic.pth',
    sha256='05ec7315',
    licence='Apache-2.0',
    source='OpenMMLab (mmdetection)',
    layout='mmdet',
    vocabulary='coco_panoptic133_all',
    reported=dict(coco=dict(PQ=56.3)),
)
