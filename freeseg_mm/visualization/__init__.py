"""Pictures of segments, their legends and colours."""

from .browsing import choose_images
from .comparison import comparison
from .legend import Legend, legend
from .palette import class_colours, class_patterns
from .panel import panel
from .regions import (
    Region,
    TaskRegions,
    gt_regions,
    prediction_regions,
    shrink,
)
from .segments import draw_segments

__all__ = [
    'Legend',
    'Region',
    'TaskRegions',
    'choose_images',
    'class_colours',
    'class_patterns',
    'comparison',
    'draw_segments',
    'gt_regions',
    'legend',
    'panel',
    'prediction_regions',
    'shrink',
]
