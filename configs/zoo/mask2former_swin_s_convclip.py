"""mmdet's Mask2Former (Swin-S), with a convolutional CLIP."""

_base_ = './mask2former_swin_s.py'

model = dict(
    clip=dict(
        model='convnext_large_d_320',
        pretrained='laion2b_s29b_b131k_ft_soup',
    ),
    mask_classifier=dict(_delete_=True, type='freeseg_mm.MaskPoolClassifier'),
)
