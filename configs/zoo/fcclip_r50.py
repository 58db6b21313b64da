"""FC-CLIP with OpenAI's ResNet-50."""

_base_ = './fcclip_convnext_large.py'

model = dict(
    clip=dict(model='RN50', pretrained='openai'),
    panoptic_head=dict(in_channels=[256, 512, 1024, 2048]),
    test_cfg=dict(empty_masks='query'),
)

zoo = dict(
    _delete_=True,
    url='https://drive.google.com/file/d/1tcB-8FNON-LwckXQbUyKcBA2G7TU65Zh/view',
    file='fcclip_r50.pth',
    sha256=None,
    licence='Apache-2.0',
    source="FC-CLIP's authors (bytedance/fc-clip)",
    layout='fcclip',
    vocabulary='coco_panoptic133_all',
    reported=dict(ade20k=dict(PQ=17.9, AP=9.5, mIoU=23.3)),
)
