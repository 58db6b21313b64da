"""Predicted segments that stand in for the labels of unseen classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import FIRST_SEGMENT_ID, Segment, Vocabulary
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.panoptic_png import decode_panoptic_png
from freeseg_mm.utils.parallel import Shard
from freeseg_mm.utils.run_lengths import joint_runs

COMMAND = 'freeseg-mm pseudo-labels make'


@dataclass(frozen=True)
class PseudoLabelSettings:
    """Thresholds of pseudo labels; ``docs/self_training.md`` measures them.

    Attributes:
        score_thr: Least class probability of a segment, in [0, 1).
        min_area: Least size of a segment: a number of pixels, or below 1 a
            share of the image.
        min_unlabelled: Least share of a predicted segment that has to lie
            on pixels without a seen label, in [0, 1]. What lies mostly on
            labelled pixels is a known object, and its rest a rim.
        overlap_thr: Least share of a predicted mask that better masks leave
            to it, in [0, 1]; in place of the test's
            ``test_cfg.overlap_thr``, which is stricter.
        prior: Whether an unlabelled pixel is taken to be of an unseen class
            for sure: the model then predicts the unseen classes alone, so
            that seen ones take no part of the probability.

    Raises:
        ValueError: If a number is out of range.
    """

    score_thr: float = 0.4
    min_area: float = 0.001
    min_unlabelled: float = 0.3
    overlap_thr: float = 0.5
    prior: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.score_thr < 1:
            raise ValueError(
                'score_thr: expected a probability of at least 0 and less '
                f'than 1, got {self.score_thr}'
            )
        if self.min_area < 0 or (
            self.min_area >= 1 and self.min_area != int(self.min_area)
        ):
            raise ValueError(
                'min_area: expected a number of pixels, or a share of the '
                f'image below 1, got {self.min_area}'
            )
        for name in ('min_unlabelled', 'overlap_thr'):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(
                    f'{name}: expected a share in [0, 1], got {share}'
                )

    def least_pixels(self, num_pixels: int) -> float:
        """Least size of a segment in an image of so many pixels."""
        share = self.min_area if self.min_area < 1 else 0
        return max(1, share * num_pixels if share else self.min_area)


@dataclass(frozen=True)
class PseudoLabelFiles:
    """Paths of the pseudo labels of one dataset.

    Attributes:
        root: Their folder.
    """

    root: Path

    @property
    def json(self) -> Path:
        """COCO-panoptic JSON over the unseen classes; written last."""
        return self.root / 'pseudo_labels.json'

    @property
    def pngs(self) -> Path:
        """Folder of the segment id PNGs, 0 is void."""
        return self.root / 'pseudo_labels'

    @property
    def summary(self) -> Path:
        """Segments and pixels of each class, text."""
        return self.root / 'summary.txt'

    @property
    def pictures(self) -> Path:
        """Folder of a few pictures."""
        return self.root / 'pictures'

    def journal(self, shard: Shard) -> Path:
        """Records of an unfinished run, or of a process's share of it."""
        return self.root / f'.unfinished-{shard.suffix}'

    def journals(self) -> list[Path]:
        """The journals that are there, of any shares."""
        return sorted(self.root.glob('.unfinished-*.jsonl'))

    def read(self) -> dict[str, Any]:
        """Read the JSON.

        Raises:
            FileNotFoundError: If it is not there; the message names the
                tool that makes it.
            ValueError: If it is not what the tool writes.
        """
        if not self.json.is_file():
            raise FileNotFoundError(
                f'no pseudo labels in {self.root}: {self.json.name} is '
                f'missing; make them with {COMMAND} CONFIG CHECKPOINT '
                f'--out {self.root}'
            )
        content = read_json(
            self.json,
            ['images', 'annotations', 'categories'],
            f'delete the folder and make it anew with {COMMAND}',
        )
        if 'info' not in content:
            raise ValueError(f'{self.json}: not written by {COMMAND}')
        return content


class PseudoLabels:
    """The pseudo segments of a dataset's images, by image id.

    Args:
        root: Folder that ``freeseg-mm pseudo-labels make`` filled.
        vocabulary: The dataset's whole vocabulary.

    Attributes:
        vocabulary: The classes a training with them knows: the seen ones
            and those unseen ones that have a pseudo segment, order and
            flags kept. An unseen class without any would only be pushed
            away, as a negative of every segment.

    Raises:
        FileNotFoundError: If there are no pseudo labels in the folder.
        ValueError: If they are of classes that the vocabulary lacks or
            marks as seen, or if there is no segment at all.
    """

    def __init__(self, root: str | Path, vocabulary: Vocabulary) -> None:
        self.files = PseudoLabelFiles(Path(root))
        content = self.files.read()
        names = {c['id']: c['name'] for c in content['categories']}
        wrong = sorted(set(names.values()) - set(vocabulary.unseen))
        if wrong:
            raise ValueError(
                f'{self.files.json}: categories {wrong} are no unseen classes '
                f'of vocabulary {vocabulary.name!r}; the pseudo labels are '
                'of another dataset or split'
            )
        used = {
            names[info['category_id']]
            for annotation in content['annotations']
            for info in annotation['segments_info']
        }
        if not used:
            raise ValueError(
                f'{self.files.json}: no image has a pseudo segment, so there '
                'is nothing to learn from; lower --score-thr or --min-area '
                f'of {COMMAND}'
            )
        self.vocabulary = vocabulary.subset(
            [
                index
                for index, name in enumerate(vocabulary.names)
                if vocabulary.is_seen[index] or name in used
            ],
            f'{vocabulary.name}/seen+{len(used)}',
        )
        label_of = {
            id_: self.vocabulary.index(name)
            for id_, name in names.items()
            if name in used
        }
        self._segments: dict[int, list[Segment]] = {}
        self._paths: dict[int, str] = {}
        for annotation in content['annotations']:
            image_id = annotation['image_id']
            self._paths[image_id] = str(
                self.files.pngs / annotation['file_name']
            )
            self._segments[image_id] = [
                {
                    'id': info['id'],
                    'label': label_of[info['category_id']],
                    'iscrowd': 0,
                }
                for info in annotation['segments_info']
            ]

    def add_to(self, records: list[dict[str, Any]], where: str) -> int:
        """Add ``pseudo_segments`` and ``pseudo_path`` to records.

        Args:
            records: Of images; changed in place.
            where: Their annotation file, for the message.

        Returns:
            Number of images that were never predicted (``--limit``).

        Raises:
            ValueError: If there are pseudo labels of other images.
        """
        known = {record['img_id'] for record in records}
        strange = [id_ for id_ in self._paths if id_ not in known]
        if strange:
            raise ValueError(
                f'{self.files.json}: {len(strange)} of {len(self._paths)} '
                f'images are not in {where}, as image id {strange[0]}; the '
                'pseudo labels are of another dataset'
            )
        for record in records:
            segments = self._segments.get(record['img_id'])
            if segments:
                record['pseudo_segments'] = segments
                record['pseudo_path'] = self._paths[record['img_id']]
        return len(known) - len(self._paths)


def paste_pseudo_segments(
    segment_map: np.ndarray,
    segments: list[Segment],
    path: str,
    pseudo_segments: list[Segment],
) -> tuple[np.ndarray, list[Segment]]:
    """Add pseudo segments to a ground truth, in pixels of no class.

    Args:
        segment_map: Segment id of each pixel, (H, W) int32; 0 is void,
            ``BACKGROUND_SEGMENT_ID`` is overwritten, too.
        segments: Those of the ground truth, numbered from
            ``FIRST_SEGMENT_ID``.
        path: PNG of the pseudo segments' ids.
        pseudo_segments: Those segments, with the ids of the PNG.

    Returns:
        The map and the segments with the pseudo segments numbered after the
        others. Pixels that neither labels stay 0, which is ignored.

    Raises:
        ValueError: If the PNG has another size than the ground truth, holds
            ids that are not listed, or lies on a labelled pixel.
    """
    ids = decode_panoptic_png(path)
    if ids.shape != segment_map.shape:
        raise ValueError(
            f'{path}: the pseudo labels are {ids.shape} (height, width), the '
            f'ground truth {segment_map.shape}; {_ANOTHER}'
        )
    found, true, pixels = joint_runs(ids, segment_map)
    listed = [segment['id'] for segment in pseudo_segments]
    unknown = sorted(set(np.unique(found).tolist()) - {0, *listed})
    if unknown:
        raise ValueError(
            f'{path}: segment ids {unknown} are not listed in the JSON of '
            f'the pseudo labels; {_ANOTHER}'
        )
    # background is of no class that training knows
    overlap = int(pixels[(found > 0) & (true >= FIRST_SEGMENT_ID)].sum())
    if overlap:
        raise ValueError(
            f'{path}: {overlap} pixels have a pseudo label and a true one; '
            f'{_ANOTHER}'
        )
    merged, added = true.copy(), []
    for number, segment in enumerate(pseudo_segments, start=len(segments)):
        new_id = FIRST_SEGMENT_ID + number
        merged[found == segment['id']] = new_id
        renumbered: Segment = {**segment, 'id': new_id}
        added.append(renumbered)
    merged = np.repeat(merged, pixels).reshape(segment_map.shape)
    return merged, [*segments, *added]


_ANOTHER = (
    'they were made for another version of the data; make them anew with '
    f'{COMMAND}'
)


def summarize(content: Mapping[str, Any]) -> str:
    """Tabulate segments, pixels and mean score of each class.

    Args:
        content: The JSON of the pseudo labels.
    """
    infos = [
        info for a in content['annotations'] for info in a['segments_info']
    ]
    used = sum(bool(a['segments_info']) for a in content['annotations'])
    share = sum(info['area'] for info in infos) / sum(
        image['height'] * image['width'] for image in content['images']
    )
    width = max(len(category['name']) for category in content['categories'])
    lines = [
        f'{len(content["images"])} images, {used} of them with pseudo labels, '
        f'which cover {share:.2%} of all pixels',
        f'{"class":<{width}}  segments      pixels  mean score',
    ]
    absent = []
    for category in content['categories']:
        own = [x for x in infos if x['category_id'] == category['id']]
        area = sum(info['area'] for info in own)
        line = f'{category["name"]:<{width}}  {len(own):>8}  {area:>10}'
        if own:
            line += f'  {np.mean([info["score"] for info in own]):>10.3f}'
        else:
            absent.append(category['name'])
        lines.append(line)
    if absent:
        lines.append(
            'without any, so that training will not know their names: '
            + ', '.join(absent)
        )
    return '\n'.join(lines)
