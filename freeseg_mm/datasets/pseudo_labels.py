"""Predicted segments that stand in for the labels of unseen classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import FIRST_SEGMENT_ID, Segment, Vocabulary
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.panoptic_png import decode_panoptic_png
from freeseg_mm.utils.run_lengths import joint_runs

COMMAND = 'freeseg-mm pseudo-labels make'


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

    @property
    def journal(self) -> Path:
        """Records of an unfinished run."""
        return self.root / '.unfinished.jsonl'

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
