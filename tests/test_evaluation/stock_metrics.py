"""mmdet's panoptic metric, fed with the same samples as ours."""

import json
from pathlib import Path
from typing import Any

from freeseg_mm.registry import METRICS
from freeseg_mm.structures import Vocabulary


def stock_panoptic(
    vocabulary: Vocabulary, ann_file: str, seg_prefix: str
) -> Any:
    """Build ``mmdet.CocoPanopticMetric``; needs ``with_panopticapi()``."""
    content = json.loads(Path(ann_file).read_text('utf-8'))
    names = tuple(category['name'] for category in content['categories'])
    assert set(names) >= set(vocabulary.names)
    metric = METRICS.build(
        {
            'type': 'mmdet.CocoPanopticMetric',
            'ann_file': ann_file,
            'seg_prefix': seg_prefix,
        }
    )
    metric.dataset_meta = {'classes': names}
    return metric
