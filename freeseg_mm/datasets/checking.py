"""Checks of all files of a dataset before a run meets a broken one."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmengine.config import Config

from freeseg_mm.structures import (
    FIRST_SEGMENT_ID,
    Segment,
    Task,
    Vocabulary,
    teaches,
)
from freeseg_mm.utils.files import write_json
from freeseg_mm.utils.image_files import (
    IGNORE_INDEX,
    check_image_file,
    read_class_map,
    require_size,
)
from freeseg_mm.utils.masks import segment_box
from freeseg_mm.utils.names import shown
from freeseg_mm.utils.open_image import open_image
from freeseg_mm.utils.panoptic_png import NO_SEGMENT_IDS, decode_panoptic_png
from freeseg_mm.utils.parallel import parallel_map
from freeseg_mm.utils.scopes import seeded

from .checking_json import (
    Finding,
    InstancesJson,
    PanopticJson,
    check_panoptic_json,
)
from .from_config import (
    LOADERS,
    build_dataset,
    dataset_configs,
    metric_configs,
)
from .open_vocab_panoptic import OpenVocabPanopticDataset

_MOST_SHOWN = 5


@dataclass
class SplitCheck:
    """Outcome of the check of one dataset of a config.

    Attributes:
        loader: ``train``, ``val`` or ``test``.
        ann_file: Its panoptic JSON.
        findings: Broken files, in their order.
        vocabulary: All classes, seen or not; ``None`` if it was not found.
        num_images: Images that were read.
        num_unused: Those that training leaves out, for want of a label.
        without_annotation: Images of the JSON that have no annotation.
        segments: Segments of each class, by its name, crowds aside.
        crowds: Crowds of each class.
        labelled: Pixels with a class in semantic and panoptic ground truth.
        agreeing: Those of them with the same class.
    """

    loader: str
    ann_file: str
    findings: list[Finding] = field(default_factory=list)
    vocabulary: Vocabulary | None = None
    num_images: int = 0
    num_unused: int = 0
    without_annotation: int = 0
    segments: Counter[str] = field(default_factory=Counter)
    crowds: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    agreeing: int = 0


def check_config(
    config: Config, loaders: Sequence[str] | None = None, *, workers: int
) -> list[SplitCheck]:
    """Check the datasets of a config.

    Every image is read by the pipeline of its loader, and every label file
    compared with the JSON files. Nothing stops at the first mistake, and
    the outcome does not depend on the number of workers.

    Args:
        config: A run's config.
        loaders: ``train``, ``val``, ``test`` or several; ``None`` for all
            that the config has. One that reads the same as one before is
            not read again.
        workers: Number of processes that read.

    Returns:
        One outcome for each dataset, in the order of the loaders.

    Raises:
        ValueError: If the config lacks a loader of ``loaders``, or all.
    """
    if loaders is None:
        loaders = [n for n in LOADERS if config.get(f'{n}_dataloader')]
        if not loaders:
            raise ValueError(
                'the config has no loader, so there is nothing to check; '
                f'expected some of {[f"{n}_dataloader" for n in LOADERS]}'
            )
    outcomes, done = [], []
    for loader in loaders:
        instance_files = [
            metric['ann_file']
            for metric in metric_configs(config, loader)
            if 'ann_file' in metric
        ]
        for dataset in dataset_configs(config, loader):
            if (dataset, instance_files) in done:
                continue
            done.append((dataset, instance_files))
            outcomes.append(_check(loader, dataset, instance_files, workers))
    return outcomes


def _check(
    loader: str,
    dataset_config: Mapping[str, Any],
    instance_files: Sequence[str],
    workers: int,
) -> SplitCheck:
    root = dataset_config.get('data_root', '')
    path = Path(root) / dataset_config['ann_file']
    outcome = SplitCheck(loader, str(path))
    try:
        unread = build_dataset({**dataset_config, 'lazy_init': True})
        outcome.vocabulary = vocabulary = unread.vocabulary
        listing = check_panoptic_json(path, vocabulary)
    except (OSError, ValueError) as error:
        outcome.findings.append(Finding(str(path), str(error)))
        return outcome
    outcome.findings += [Finding(str(path), text) for text in listing.reasons]
    outcome.without_annotation = listing.without_annotation
    _count(outcome, listing)
    instances = []
    for name in instance_files:
        try:
            instances.append(InstancesJson(Path(name), vocabulary))
        except (OSError, ValueError) as error:
            outcome.findings.append(Finding(name, str(error)))
    outcome.findings += [
        Finding(str(file.path), reason)
        for file in instances
        for reason in file.reasons
    ]
    if listing.content['annotations']:
        _read_samples(outcome, dataset_config, listing, instances, workers)
    return outcome


def _read_samples(
    outcome: SplitCheck,
    dataset_config: Mapping[str, Any],
    listing: PanopticJson,
    instances: Sequence[InstancesJson],
    workers: int,
) -> None:
    # A dataset in test mode leaves nothing out and replaces nothing.
    changes: dict[str, Any] = {'test_mode': True}
    with TemporaryDirectory() as folder:
        if listing.reasons:
            # so that one bad entry does not hide the files of the others
            changes['ann_file'] = f'{folder}/usable.json'
            write_json(listing.content, Path(changes['ann_file']))
        try:
            dataset = build_dataset({**dataset_config, **changes})
            dataset.full_init()
        except (OSError, ValueError) as error:
            outcome.findings.append(Finding(outcome.ann_file, str(error)))
            return
    outcome.num_images = len(dataset)
    if not dataset_config.get('test_mode', False):
        outcome.num_unused = sum(
            not _is_used(dataset.get_data_info(i)) for i in range(len(dataset))
        )
    checker = SampleChecker(
        dataset,
        {
            entry['image_id']: entry['segments_info']
            for entry in listing.content['annotations']
        },
        instances,
    )
    for result in parallel_map(
        checker,
        range(len(dataset)),
        workers=workers,
        description=f'reading {outcome.loader}',
    ):
        outcome.findings += result.findings
        outcome.labelled += result.labelled
        outcome.agreeing += result.agreeing


def _count(outcome: SplitCheck, listing: PanopticJson) -> None:
    name_of = {
        entry['id']: entry['name'] for entry in listing.content['categories']
    }
    for entry in listing.content['annotations']:
        for info in entry['segments_info']:
            counts = (
                outcome.crowds if info.get('iscrowd') else outcome.segments
            )
            counts[name_of[info['category_id']]] += 1


def _is_used(record: Mapping[str, Any]) -> bool:
    """Tell whether training has a label of an image for one of its tasks."""
    return any(
        teaches(segment, task)
        for segment in record['segments']
        for task in record['tasks']
    )


@dataclass(frozen=True)
class SampleCheck:
    """Outcome of the check of one image.

    Attributes:
        findings: Broken files.
        labelled: Pixels that the semantic and the panoptic ground truth label.
        agreeing: Those of them with the same class in both.
    """

    findings: tuple[Finding, ...]
    labelled: int = 0
    agreeing: int = 0


class SampleChecker:
    """Checks the files of an image, and reads it as a run would.

    Args:
        dataset: The dataset with its pipeline.
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
        """Check the image of an index of the dataset."""
        record = self._dataset.get_data_info(index)
        size = record['height'], record['width']
        findings: list[Finding] = []

        def note(path: str, problems: Iterable[str]) -> None:
            findings.extend(Finding(path, problem) for problem in problems)

        note(record['img_path'], _image_problems(record['img_path'], size))
        path = record['seg_map_path']
        ids, problems = _try_read(path, size, decode_panoptic_png)
        note(path, problems)
        if ids is not None:
            infos = self._infos_of[record['img_id']]
            note(path, _segment_problems(ids, infos))
        labelled = agreeing = 0
        if record.get('sem_seg_path'):
            path = record['sem_seg_path']
            num_classes = len(self._dataset.vocabulary)
            classes, problems = _try_read(
                path, size, partial(read_class_map, num_classes=num_classes)
            )
            note(path, problems)
            if classes is not None and ids is not None:
                labelled, agreeing = _agreement(
                    classes, ids, record['segments']
                )
        for file in self._instances:
            problems = file.problems_of(record['img_id'], size)
            note(str(file.path), problems)
        # Else the pipeline would only repeat a finding.
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
        with open_image(path) as image:
            image.load()
    except FileNotFoundError as error:
        return [str(error)]
    except ValueError as error:
        if path in str(error):
            return [str(error)]
        return [f'cannot decode image: {error}; download it again']
    return []


def _try_read(
    path: str, size: tuple[int, int], read: Callable[[Path], np.ndarray]
) -> tuple[np.ndarray | None, list[str]]:
    """Read a label map of a size, ``None`` with the reason if it fails."""
    try:
        values = read(Path(path))
        require_size(Path(path), values.shape, size)
    except (OSError, ValueError) as error:
        return None, [str(error)]
    return values, []


def _segment_problems(
    ids: np.ndarray, infos: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Differences between the id PNG and the JSON."""
    present, areas = np.unique(ids, return_counts=True)
    pixels = dict(zip(present.tolist(), areas.tolist(), strict=True))
    listed = {info['id'] for info in infos}
    problems = []
    unlisted = [i for i in pixels if i not in {*NO_SEGMENT_IDS, *listed}]
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
                f'{where} has {area} pixels, the JSON says '
                f'{shown(info["area"])}'
            )
        elif 'bbox' in info:
            box = segment_box(ids == info['id'])
            if info['bbox'] != box:
                problems.append(
                    f'{where} has the box {box} (x, y, width, height), the '
                    f'JSON says {shown(info["bbox"])}'
                )
    return problems


def _agreement(
    classes: np.ndarray, ids: np.ndarray, segments: Sequence[Segment]
) -> tuple[int, int]:
    """Count the pixels labelled in both maps, and those labelled alike."""
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


def summarize(outcome: SplitCheck) -> list[str]:
    """Describe the findings of a dataset, a line each, then its content."""
    lines = [f'broken {finding}' for finding in outcome.findings]
    count = len(outcome.findings)
    lines.append(
        f'{outcome.loader} ({outcome.ann_file}): '
        + (f'{count:,} broken' if count else 'nothing is broken')
    )
    images = f'  {outcome.num_images:,} images read'
    if outcome.num_unused:
        images += (
            f', {outcome.num_unused:,} of them without a label that training '
            'may use'
        )
    if outcome.without_annotation:
        images += f'; {outcome.without_annotation:,} have no annotation'
    lines.append(images)
    if outcome.vocabulary is not None:
        lines += _classes(outcome)
    if outcome.labelled:
        share = 100 * outcome.agreeing / outcome.labelled
        lines.append(
            '  semantic and panoptic ground truth agree on '
            f'{share:.2f} % of the pixels that both label'
        )
    return lines


def _classes(outcome: SplitCheck) -> list[str]:
    vocabulary = outcome.vocabulary
    assert vocabulary is not None
    things = sum(outcome.segments[name] for name in vocabulary.things)
    stuff = outcome.segments.total() - things
    occurring = set(+outcome.segments | +outcome.crowds)
    never = [name for name in vocabulary.names if name not in occurring]
    only_crowds = [
        name
        for name in vocabulary.names
        if name in occurring and not outcome.segments[name]
    ]
    unseen = set(vocabulary.unseen)
    parts = [
        f'{len(names & occurring)} of {len(names)} {title}'
        for title, names in (
            ('seen', set(vocabulary.names) - unseen),
            ('unseen', unseen),
        )
        if names
    ]
    lines = [
        f'  {things:,} objects of things, {stuff:,} segments of stuff, '
        f'{outcome.crowds.total():,} crowds',
        f'  classes that occur: {", ".join(parts)}',
    ]
    # Names of ADE20K have commas.
    if only_crowds:
        lines.append(f'  as crowds alone: {"; ".join(only_crowds)}')
    if never:
        lines.append(f'  never: {"; ".join(never)}')
    return lines
