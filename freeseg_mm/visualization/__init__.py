from .image_choice import choose_images
from .legend import Legend, LegendEntry, legend
from .palette import class_colours
from .panel import panel
from .patterns import class_patterns
from .regions import Region, TaskRegions, gt_regions, prediction_regions
from .segments import draw_segments

__all__ = [
    'Legend',
    'LegendEntry',
    'Region',
    'TaskRegions',
    'choose_images',
    'class_colours',
    'class_patterns',
    'draw_segments',
    'legend',
    'panel',
    'prediction_regions',
    'gt_regions',
]
