"""Pseudo labels compared with the labels they were made without.

Nothing that makes or uses pseudo labels imports this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from tqdm import tqdm

from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.utils.panoptic_png import decode_panoptic_png

_MATCH = 0.5


@dataclass(frozen=True)
class PseudoSegment:
    """A pseudo segment compared with the ground truth.

    Attributes:
        score: Class probability, in [0, 1].
        area: Number of its pixels.
        right_area: Number of those whose true class is its own.
        iou: Highest IoU with a true segment of its class, in [0, 1].
    """

    score: float
    area: int
    right_area: int
    iou: float


@dataclass(frozen=True)
class HiddenGroundTruth:
    """Unseen ground truth of some images, and the pseudo segments in them.

    Attributes:
        segments: Number of true segments of unseen classes.
        area: Number of their pixels.
        found: The pseudo segments.
    """

    segments: int
    area: int
    found: Sequence[PseudoSegment]

    def table(self, score_thrs: Sequence[float]) -> str:
        """Tabulate precision and recall by the least score, percent.

        A segment is right if its IoU is over 0.5.
        """
        lines = [
            f'{self.segments} true segments of unseen classes',
            'score  segments  right  recall   pixels right  recall',
        ]
        for score_thr in score_thrs:
            kept = [x for x in self.found if x.score >= score_thr]
            right = sum(x.iou > _MATCH for x in kept)
            area = sum(x.area for x in kept)
            right_area = sum(x.right_area for x in kept)
            lines.append(
                f'{score_thr:>5.2f}  {len(kept):>8}'
                f'  {_percent(right, len(kept))}'
                f'  {_percent(right, self.segments):>6}'
                f'  {_percent(right_area, area):>13}'
                f'  {_percent(right_area, self.area):>6}'
            )
        return '\n'.join(lines)


def compare_with_hidden_gt(config: Config, root: Path) -> HiddenGroundTruth:
    """Compare pseudo labels with the labels that training hides.

    Args:
        config: The config that they were made by.
        root: Folder of the pseudo labels.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is unusable or lacks an image.
    """
    settings = dataset_configs(config, 'train')[0]
    settings.update(
        split='all', pipeline=[], pseudo_labels=None, test_mode=True
    )
    dataset = build_dataset(settings)
    vocabulary = dataset.vocabulary
    records = {
        record['img_id']: record
        for record in map(dataset.get_data_info, range(len(dataset)))
    }
    files = PseudoLabelFiles(root)
    content = files.read()
    names = {c['id']: c['name'] for c in content['categories']}
    num_segments, total, found = 0, 0, []
    for annotation in tqdm(content['annotations'], 'comparing', leave=False):
        record = records.get(annotation['image_id'])
        if record is None:
            raise ValueError(
                f'{files.json}: image id {annotation["image_id"]} is not in '
                f'{dataset.ann_file}'
            )
        true_ids = decode_panoptic_png(record['seg_map_path'])
        ids = decode_panoptic_png(files.pngs / annotation['file_name'])
        unseen = [
            (vocabulary.names[s['label']], true_ids == s['id'])
            for s in record['segments']
            if not vocabulary.is_seen[s['label']]
        ]
        num_segments += len(unseen)
        total += sum(int(mask.sum()) for _, mask in unseen)
        for info in annotation['segments_info']:
            name = names[info['category_id']]
            mask = ids == info['id']
            same = [true for true_name, true in unseen if true_name == name]
            found.append(
                PseudoSegment(
                    info['score'],
                    int(mask.sum()),
                    sum(int((mask & true).sum()) for true in same),
                    max((_iou(mask, true) for true in same), default=0.0),
                )
            )
    return HiddenGroundTruth(num_segments, total, found)


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def _percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:5.1f}' if whole else '    -'
