"""FC-CLIP with OpenAI's ResNet-101."""

_base_ = './fcclip_r50.py'

model = dict(clip=dict(model='RN101'))

zoo = dict(
    _delete_=True,
    url='https://drive.google.com/file/d/1P0mdgftReWzVbPQ0O0CSBfW3krHhTOj0/view',
    file='fcclip_r101.pth',
    sha256=None,
    licence='Apache-2.0',
    source="FC-CLIP's authors (bytedance/fc-clip)",
    layout='fcclip',
    vocabulary='coco_panoptic133_all',
    reported=dict(ade20k=dict(PQ=19.1, AP=10.2, mIoU=24.0)),
)
