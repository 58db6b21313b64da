"""The FreeSeg network on a frozen convolutional CLIP: one pass an image."""

_base_ = './freeseg_r101c.py'

model = dict(
    data_preprocessor=dict(
        # CLIP's own, times 255
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    clip=dict(
        model='convnext_large_d_320', pretrained='laion2b_s29b_b131k_ft_soup'
    ),
    backbone=dict(_delete_=True, type='freeseg_mm.CLIPBackbone'),
    panoptic_head=dict(in_channels=[192, 384, 768, 1536]),
    mask_classifier=dict(
        _delete_=True, type='freeseg_mm.MaskPoolClassifier', source='backbone'
    ),
    clip_prompt=dict(
        _base_.fixed_view, _delete_=True, class_template='vild14'
    ),
)
