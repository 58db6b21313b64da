"""The shapes run with a convolutional miniature CLIP as the backbone.

Data: freeseg-mm shapes make data/shapes
CLIP: freeseg-mm shapes clip data/shapes data/shapes_convclip
    --model configs/clip/shapes_convclip.json
Train: tools/train.py configs/freeseg/shapes_convclip.py
"""

_base_ = './shapes.py'

model = dict(
    data_preprocessor=dict(
        # CLIP's own, times 255
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    clip=dict(
        model='data/shapes_convclip/shapes_convclip.json',
        pretrained='data/shapes_convclip/shapes_convclip.pt',
    ),
    backbone=dict(_delete_=True, type='freeseg_mm.CLIPBackbone'),
    panoptic_head=dict(in_channels=[40, 80, 160, 320]),
    mask_classifier=dict(
        _delete_=True, type='freeseg_mm.MaskPoolClassifier', source='backbone'
    ),
)
