"""Look at all files of a data set before a run meets a broken one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config

from freeseg_mm.structures import Vocabulary, teaches
from freeseg_mm.utils.files import write_json
from freeseg_mm.utils.parallel import parallel_map

from .checking_json import (
    Finding,
    InstancesJson,
    PanopticJson,
    check_panoptic_json,
)
from .checking_sample import SampleChecker
from .from_config import (
    LOADERS,
    build_dataset,
    dataset_configs,
    metric_configs,
)


@dataclass
class SplitCheck:
    """What came out for one data set of a config.

    Attributes:
        loader: ``train``, ``val`` or ``test``.
        ann_file: Its panoptic JSON.
        findings: What is wrong, in the order of the files.
        vocabulary: All classes, seen or not; ``None`` if it was not found.
        num_images: Images that were read.
        num_unused: Those that training leaves out, for want of a label.
        without_annotation: Images of the JSON that nothing is said about.
        segments: Segments of each class, by its name, crowds aside.
        crowds: Crowds of each class.
        labelled: Pixels with a class in semantic and panoptic truth.
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
    """Check the data sets of a config.

    Every image is read by the pipeline of its loader, and every label file
    compared with what the JSON files say. Nothing stops at the first
    mistake, and the outcome does not depend on the number of workers.

    Args:
        config: A run's config, see :func:`~.from_config.read_config`.
        loaders: Which of ``train``, ``val`` and ``test``; ``None`` for all
            that the config has. One that reads the same as one before is
            not read again.
        workers: Processes to read with.

    Returns:
        One outcome for each data set, in the order of the loaders.

    Raises:
        ValueError: If the config lacks a loader asked for.
    """
    if loaders is None:
        loaders = [n for n in LOADERS if config.get(f'{n}_dataloader')]
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
    # In test mode a data set leaves nothing out and replaces nothing.
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
    """Whether training has a label of an image for one of its tasks."""
    return any(
        teaches(segment, task)
        for segment in record['segments']
        for task in record['tasks']
    )


def summarize(outcome: SplitCheck) -> list[str]:
    """What is wrong with a data set, one line each, then what is in it."""
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
            f'  semantic and panoptic truth agree on {share:.2f} % of the '
            'pixels that both label'
        )
    return lines


def _classes(outcome: SplitCheck) -> list[str]:
    vocabulary = outcome.vocabulary
    assert vocabulary is not None
    rows = list(
        zip(
            vocabulary.names,
            vocabulary.is_thing,
            vocabulary.is_seen,
            strict=True,
        )
    )
    things = sum(outcome.segments[n] for n, is_thing, _ in rows if is_thing)
    stuff = outcome.segments.total() - things
    occurring = set(+outcome.segments | +outcome.crowds)
    never = [name for name, _, _ in rows if name not in occurring]
    only_crowds = [
        name
        for name, _, _ in rows
        if name in occurring and not outcome.segments[name]
    ]
    parts = []
    for title, wanted in (('seen', True), ('unseen', False)):
        names = {name for name, _, is_seen in rows if is_seen is wanted}
        if names:
            parts.append(f'{len(names & occurring)} of {len(names)} {title}')
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
