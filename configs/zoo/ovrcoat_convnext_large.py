"""OVRCOAT: FC-CLIP whose tower was tuned, and whose CLIP doubts no-object."""

_base_ = './fcclip_convnext_large.py'

model = dict(
    backbone=dict(frozen=False),
    test_cfg=dict(ensemble=dict(clip_trust=0.5)),
)

zoo = dict(
    _delete_=True,
    url='https://drive.google.com/file/d/1raLz9TybKGxMCsWVjjdoBnbraUXDgmQ0/view',
    file='ovrcoat_convnext_large.pth',
    sha256=None,
    licence='see its repository',
    source="OVRCOAT's authors (nickormushev/OVRCOAT)",
    layout='fcclip',
    vocabulary='coco_panoptic133_all',
    reported=dict(
        ade20k=dict(PQ=28.6), mapillary=dict(PQ=19.6), cityscapes=dict(PQ=45.3)
    ),
)
