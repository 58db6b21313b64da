"""Masks of shapes_convclip.py shown to its CLIP as crops, not pooled.

Test: tools/test.py configs/freeseg/shapes_convclip_crops.py
    work_dirs/shapes_convclip/iter_500.pth
"""

_base_ = './shapes_convclip.py'

model = dict(
    mask_classifier=dict(_delete_=True, type='freeseg_mm.CropMaskClassifier')
)
