"""FC-CLIP with ConvNeXt-B, trained anew by MaskCLIP++'s authors."""

_base_ = './fcclip_convnext_large.py'

model = dict(
    clip=dict(
        model='convnext_base_w_320',
        pretrained='laion_aesthetic_s13b_b82k_augreg',
    ),
    panoptic_head=dict(in_channels=[128, 256, 512, 1024]),
)

zoo = dict(
    _delete_=True,
    url='https://drive.google.com/uc?id=1fSFPPTwxF-ekMxAmIo01ssdbC79wwwml',
    file='fcclip_convnext_base.pth',
    sha256=None,
    licence='Apache-2.0',
    source="MaskCLIP++'s authors",
    layout='fcclip',
    vocabulary='coco_panoptic133_all',
    reported={},
)
