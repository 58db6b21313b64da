from .clip_backbone import CLIPBackbone
from .crop_mask_classifier import CropMaskClassifier
from .frozen_clip import FrozenCLIP
from .mask_classifier import PADDING_LOGIT, MaskClassifier
from .mask_pool_classifier import MaskPoolClassifier
from .mask_token_classifier import MaskTokenClassifier
from .text_tower import TextTower

__all__ = [
    'PADDING_LOGIT',
    'CLIPBackbone',
    'CropMaskClassifier',
    'FrozenCLIP',
    'MaskClassifier',
    'MaskPoolClassifier',
    'MaskTokenClassifier',
    'TextTower',
]
