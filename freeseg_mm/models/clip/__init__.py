from .crop_mask_classifier import CropMaskClassifier
from .frozen_clip import FrozenCLIP
from .mask_classifier import MaskClassifier
from .text_tower import TextTower

__all__ = ['CropMaskClassifier', 'FrozenCLIP', 'MaskClassifier', 'TextTower']
