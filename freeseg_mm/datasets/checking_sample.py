"""What is wrong with the files of one image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from freeseg_mm.structures import FIRST_SEGMENT_ID, Segment, Task, teaches
from freeseg_mm.utils.image_files import (
    IGNORE_INDEX,
    check_image_file,
    read_label_map,
    require_size,
)
from freeseg_mm.utils.mask_boxes import segment_box
from freeseg_mm.utils.panoptic_png import VOID_ID, decode_panoptic_png
from freeseg_mm.utils.seeded import seeded

from .checking_json import Finding, InstancesJson
from .open_vocab_panoptic import OpenVocabPanopticDataset

_MOST_SHOWN = 5


@dataclass(frozen=True)
class SampleCheck:
    """What came out for one image.

    Attributes:
        findings: What is wrong.
        labelled: Pixels that the semantic and the panoptic truth label.
        agreeing: Those of them with the same class in both.
    """

    findings: tuple[Finding, ...]
    labelled: int = 0
    agreeing: int = 0


class SampleChecker:
    """Checks the files of an image, and reads it as a run would.

    Args:
        dataset: The data set with its pipeline.
        infos_of: ``segments_info`` of the panoptic JSON by image id.
        instances: The instances JSON files of the metrics.
    """

    def __init__(
        self,
        dataset: OpenVocabPanopticDataset,
        infos_of: Mapping[int, Sequence[Mapping[str, Any]]],
        instances: Sequence[InstancesJson],
    ) -> None:
        self._dataset = dataset
        self._infos_of = infos_of
        self._instances = instances

    def __call__(self, index: int) -> SampleCheck:
        """Check the image of an index of the data set."""
        record = self._dataset.get_data_info(index)
        size = record['height'], record['width']
        findings: list[Finding] = []

        def note(path: str, problems: Iterable[str]) -> None:
            findings.extend(Finding(path, problem) for problem in problems)

        note(record['img_path'], _image_problems(record['img_path'], size))
        ids, problems = _read_ids(record['seg_map_path'], size)
        note(record['seg_map_path'], problems)
        if ids is not None:
            infos = self._infos_of[record['img_id']]
            note(record['seg_map_path'], _segment_problems(ids, infos))
        labelled = agreeing = 0
        if record.get('sem_seg_path'):
            path = record['sem_seg_path']
            classes, problems = _read_classes(
                path, size, len(self._dataset.vocabulary)
            )
            note(path, problems)
            if classes is not None and ids is not None:
                labelled, agreeing = _agreement(
                    classes, ids, record['segments']
                )
        for file in self._instances:
            problems = file.problems_of(record['img_id'], size)
            note(str(file.path), problems)
        # Else the pipeline would only say again what is known.
        if not findings:
            note(record['img_path'], self._pipeline_problems(index, size))
        return SampleCheck(tuple(findings), labelled, agreeing)

    def _pipeline_problems(
        self, index: int, size: tuple[int, int]
    ) -> list[str]:
        try:
            # By index, so that the number of workers plays no role.
            with seeded(index):
                packed = self._dataset.prepare_data(index)
        # A user's transform may raise anything.
        except Exception as error:
            return [f'the pipeline fails: {type(error).__name__}: {error}']
        if packed is None:
            return ['the pipeline refuses the sample']
        if 'data_samples' not in packed:
            return [
                'the pipeline gives no data_samples; does it end in '
                'PackDetInputs?'
            ]
        sample = packed['data_samples']
        if tuple(sample.get('ori_shape', size)) != size:
            return [
                f'it is loaded with size {tuple(sample.ori_shape)} (H, W), '
                f'the annotation says {size}; does it have an EXIF '
                'orientation?'
            ]
        if 'gt_sem_seg' not in sample:
            return []
        listed = [segment['id'] for segment in sample.segments]
        left = np.setdiff1d(sample.gt_sem_seg.sem_seg.numpy(), listed)
        left = left[left >= FIRST_SEGMENT_ID]
        if not left.size:
            return []
        return [
            f'the pipeline makes segment ids {_some(left.tolist())} that '
            'are no segments; does a transform interpolate gt_seg_map?'
        ]


def _image_problems(path: str, size: tuple[int, int]) -> list[str]:
    try:
        check_image_file(Path(path), size)
        # OpenCV fills in what is damaged and says nothing, Pillow does.
        with Image.open(path) as image:
            image.load()
    except FileNotFoundError as error:
        return [str(error)]
    except (OSError, SyntaxError, ValueError) as error:
        if path in str(error):
            return [str(error)]
        return [f'cannot decode image: {error}; download it again']
    return []


def _read_ids(
    path: str, size: tuple[int, int]
) -> tuple[np.ndarray | None, list[str]]:
    try:
        ids = decode_panoptic_png(path)
        require_size(Path(path), ids.shape, size)
    except (OSError, ValueError) as error:
        return None, [str(error)]
    return ids, []


def _read_classes(
    path: str, size: tuple[int, int], num_classes: int
) -> tuple[np.ndarray | None, list[str]]:
    try:
        classes = read_label_map(Path(path))
        require_size(Path(path), classes.shape, size)
    except (OSError, ValueError) as error:
        return None, [str(error)]
    beyond = np.unique(
        classes[(classes >= num_classes) & (classes != IGNORE_INDEX)]
    )
    if not beyond.size:
        return classes, []
    return None, [
        f'values {_some(beyond.tolist())}; expected 0 to {num_classes - 1}, '
        f'the positions in the vocabulary, or {IGNORE_INDEX} (ignored)'
    ]


def _segment_problems(
    ids: np.ndarray, infos: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Where the id PNG and the JSON differ."""
    present, areas = np.unique(ids, return_counts=True)
    pixels = dict(zip(present.tolist(), areas.tolist(), strict=True))
    listed = {info['id'] for info in infos}
    problems = []
    unlisted = [i for i in pixels if i != VOID_ID and i not in listed]
    if unlisted:
        problems.append(
            f'ids {_some(unlisted)} are in the PNG but not in the JSON'
        )
    absent = [i for i in listed if i not in pixels]
    if absent:
        problems.append(
            f'segments {_some(sorted(absent))} of the JSON have no pixel in '
            'the PNG'
        )
    for info in infos:
        if info['id'] not in pixels:
            continue
        where = f'segment {info["id"]}'
        area = pixels[info['id']]
        if info.get('area', area) != area:
            problems.append(
                f'{where} has {area} pixels, the JSON says {info["area"]}'
            )
        elif 'bbox' in info:
            box = segment_box(ids == info['id'])
            if list(info['bbox']) != box:
                problems.append(
                    f'{where} has the box {box} (x, y, width, height), the '
                    f'JSON says {list(info["bbox"])}'
                )
    return problems


def _agreement(
    classes: np.ndarray, ids: np.ndarray, segments: Sequence[Segment]
) -> tuple[int, int]:
    """Pixels that both truths label, and how many of them alike."""
    painted = np.full(ids.shape, IGNORE_INDEX, dtype=np.int64)
    for segment in segments:
        if teaches(segment, Task.SEMANTIC):
            painted[ids == segment['id']] = segment['label']
    both = (painted != IGNORE_INDEX) & (classes != IGNORE_INDEX)
    return int(both.sum()), int((painted == classes)[both].sum())


def _some(values: Sequence[int]) -> str:
    if len(values) <= _MOST_SHOWN:
        return str(list(values))
    return f'{list(values[:_MOST_SHOWN])} ({len(values)} in all)'
