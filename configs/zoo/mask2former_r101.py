"""mmdet's Mask2Former (ResNet-101), with CLIP ViT-B/16 on crops."""

_base_ = './mask2former_r50.py'

model = dict(
    backbone=dict(depth=101),
)

zoo = dict(
    _delete_=True,
    url=(
        'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
        'mask2former_r101_8xb2-lsj-50e_coco-panoptic/'
        'mask2former_r101_8xb2-lsj-50e_coco-panoptic_'
        '20220329_225104-c74d4d71.pth'
    ),
    file='mask2former_r101_8xb2-lsj-50e_coco-panoptic.pth',
    sha256='c74d4d71',
    licence='Apache-2.0',
    source='OpenMMLab (mmdetection)',
    layout='mmdet',
    vocabulary='coco_panoptic133_all',
    reported=dict(coco=dict(PQ=52.4)),
)
