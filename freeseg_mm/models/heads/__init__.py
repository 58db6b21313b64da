from .freeseg_fusion_head import FreeSegFusionHead
from .freeseg_head import FreeSegHead

__all__ = ['FreeSegFusionHead', 'FreeSegHead']
