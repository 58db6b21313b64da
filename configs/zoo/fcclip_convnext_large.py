"""FC-CLIP with ConvNeXt-L: any classes, semantic, instance and panoptic."""

_base_ = [
    '../_base_/models/fcclip.py',
    '../_base_/datasets/coco_panoptic133.py',
    '../_base_/default_runtime.py',
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True, backend='pillow'),
    _base_.pack_test,
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

zoo = dict(
    url='https://drive.google.com/file/d/1-91PIns86vyNaL3CzMmDD39zKGnPMtvj/view',
    file='fcclip_convnext_large.pth',
    sha256=None,
    licence='Apache-2.0',
    source="FC-CLIP's authors (bytedance/fc-clip)",
    layout='fcclip',
    vocabulary='coco_panoptic133_all',
    reported=dict(
        ade20k=dict(PQ=26.8, AP=16.8, mIoU=34.1),
        coco=dict(PQ=54.4, AP=44.6, mIoU=63.7),
    ),
)
