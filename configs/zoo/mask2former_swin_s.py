"""mmdet's Mask2Former (Swin-S), with CLIP ViT-B/16 on crops."""

_base_ = './mask2former_swin_t.py'

model = dict(
    backbone=dict(depths=[2, 2, 18, 2]),
)

zoo = dict(
    _delete_=True,
    url=(
        'https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
        'mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic/'
        'mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic_'
        '20220329_225200-4a16ded7.pth'
    ),
    file='mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco-panoptic.pth',
    sha256='4a16ded7',
    licence='Apache-2.0',
    source='OpenMMLab (mmdetection)',
    layout='mmdet',
    vocabulary='coco_panoptic133_all',
    reported=dict(coco=dict(PQ=54.5)),
)
