"""``freeseg-mm bench metrics``: seconds and bytes of the three metrics."""

import copy
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.evaluation.metrics import coco_panoptic_metric
from mmengine.evaluator import BaseMetric
from rich.table import Table
from tqdm import tqdm

from freeseg_mm.datasets.from_config import (
    build_dataset,
    dataset_configs,
    metric_configs,
)
from freeseg_mm.evaluation.ground_truth import (
    IGNORED,
    read_panoptic_gt,
    read_semantic_gt,
)
from freeseg_mm.registry import METRICS
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.image_files import IGNORE_INDEX
from freeseg_mm.utils.run_config import read_config
from freeseg_mm.utils.scopes import quiet_logger
from freeseg_mm.utils.tables import render_table

from .options import MetricsOptions
from .probes import PeakMemory
from .report import print_now

_MOVED = 8  # pixels that a prediction is off by at most
_CONFUSED = 0.15  # share of the segments with another class
# task, our mean and the stock metric's, and what the latter is in percent
_MEANS = {
    'OpenVocabSemMetric': ('semantic', 'mIoU', 'mIoU', 1.0),
    'OpenVocabInsMetric': ('instance', 'mAP', 'segm_mAP', 100.0),
    'OpenVocabPanMetric': ('panoptic', 'PQ', 'PQ', 1.0),
}


@dataclass
class TimedMetric:
    """A metric with what it has cost.

    Attributes:
        side: Its side.
        task: The task it scores.
        metric: The metric.
        mean: Name of its mean over the classes.
        unit: Value of the mean that is one percent, as a factor.
        seconds: Spent so far.
        cpu_seconds: Of these, those of the processor, all threads together:
            they do not count what else runs on the machine.
        bytes_held: Of what it keeps of all images until it evaluates.
        score: Its mean, percent, once it has evaluated.
    """

    side: str
    task: str
    metric: BaseMetric
    mean: str
    unit: float
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    bytes_held: int = 0
    score: float = field(default=float('nan'))

    def process(self, sample: dict[str, Any]) -> None:
        """Take a sample with its predictions."""
        with self._timed():
            self.metric.process({}, [sample])

    def evaluate(self, images: int) -> None:
        """Score all samples taken."""
        self.bytes_held = len(pickle.dumps(self.metric.results))
        with self._timed():
            results = self.metric.evaluate(size=images)
        score = next(
            value
            for name, value in results.items()
            if name.split('/')[-1] == self.mean
        )
        self.score = self.unit * float(score)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = perf_counter(), process_time()
        yield
        self.seconds += perf_counter() - started[0]
        self.cpu_seconds += process_time() - started[1]


class MetricsBenchmark:
    """Time metrics on the same predictions, one image after the other.

    Predictions are the ground truth, moved and in part of other classes.
    Stock metrics are handed the semantic ground truth, which ours read.

    Args:
        options: Options of the measurement.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If an option is out of range, or the config's test data
            or metrics are none of the package.
    """

    def __init__(self, options: MetricsOptions) -> None:
        self.options = options
        config = read_config(options.config, options.cfg_options)
        data, *_ = dataset_configs(config, 'test')
        with quiet_logger():
            self.dataset = build_dataset({**data, 'pipeline': []})
        self.metrics = [
            each
            for each in metric_configs(config, 'test')
            if each['type'].removeprefix('freeseg_mm.') in _MEANS
        ]
        if not self.metrics:
            raise ValueError(
                f'{options.config}: its test_evaluator has none of '
                f'{list(_MEANS)}'
            )

    def run(self, show: Callable[[str], None] = print_now) -> dict[str, Any]:
        """Measure seconds, bytes held, the peak, and the means.

        Args:
            show: Takes the tables.

        Returns:
            ``settings``; ``seconds``, ``cpu_seconds``, ``bytes_held`` and
            ``score`` (percent) by side and task; ``peak_bytes`` of the
            whole, above the start, ``None`` where the system cannot tell.
        """
        images = self.options.images
        probe = PeakMemory(torch.device('cpu'))
        peak = None
        # mmdet and pycocotools print what they do
        silent = redirect_stdout(StringIO())
        with TemporaryDirectory() as folder, quiet_logger(), silent:
            timed = list(self._build(Path(folder)))
            if probe.is_available:
                with probe:
                    self._measure(timed)
                    peak = probe.lap()
            else:
                self._measure(timed)
        result: dict[str, Any] = {'settings': asdict(self.options)}
        for kind in ('seconds', 'cpu_seconds', 'bytes_held', 'score'):
            result[kind] = {
                side: {
                    each.task: getattr(each, kind)
                    for each in timed
                    if each.side == side
                }
                for side in self.options.sides
            }
        result['peak_bytes'] = peak
        show(metric_tables(result, images))
        return result

    def _measure(self, timed: list[TimedMetric]) -> None:
        images = self.options.images
        bar = tqdm(range(images), desc='images', leave=False, disable=None)
        for index in bar:
            sample = self._sample(index)
            for place in range(len(timed)):
                # in turn the first, whose predictions are in no cache yet
                each = timed[(index + place) % len(timed)]
                each.process(copy.copy(sample))
        for each in timed:
            each.evaluate(images)

    def _build(self, folder: Path) -> Iterator[TimedMetric]:
        """Build the metrics of all sides on an annotation file of their own.

        It has as many images as are asked for.
        """
        stock_panoptic = self._write_panoptic(folder)
        for config in self.metrics:
            name = config['type'].removeprefix('freeseg_mm.')
            task, ours, theirs, unit = _MEANS[name]
            own = {**config, 'type': f'freeseg_mm.{name}'}
            stock: dict[str, Any] | None = None
            if task == 'instance':
                own['ann_file'] = self._write_instances(folder, own)
                stock = {
                    'type': 'mmdet.CocoMetric',
                    'metric': 'segm',
                    'ann_file': own['ann_file'],
                }
            elif task == 'panoptic' and coco_panoptic_metric.panopticapi:
                stock = {
                    'type': 'mmdet.CocoPanopticMetric',
                    'ann_file': stock_panoptic,
                    'seg_prefix': self.dataset.data_prefix['seg'],
                }
            elif task == 'semantic' and find_spec('mmseg'):
                stock = {'type': 'mmseg.IoUMetric'}
            for side, chosen, mean, factor in (
                ('this', own, ours, 1.0),
                (
                    'pycocotools',
                    {**own, 'engine': 'pycocotools'}
                    if task == 'instance'
                    else None,
                    ours,
                    1.0,
                ),
                ('stock', stock, theirs, unit),
            ):
                if chosen is not None and side in self.options.sides:
                    metric = METRICS.build(chosen)
                    metric.dataset_meta = dict(self.dataset.metainfo)
                    yield TimedMetric(side, task, metric, mean, factor)

    def _write_instances(self, folder: Path, config: Mapping[str, Any]) -> str:
        source = Path(config['ann_file'])
        content = read_json(source, ['images', 'annotations', 'categories'])
        images = {image['id']: image for image in content['images']}
        of_image: dict[Any, list[dict]] = {key: [] for key in images}
        for annotation in content['annotations']:
            of_image[annotation['image_id']].append(annotation)
        records = [self._record(i) for i in range(self.options.images)]
        annotations = [
            {**annotation, 'image_id': index}
            for index, record in enumerate(records, 1)
            for annotation in of_image[record['img_id']]
        ]
        return _write(
            folder / 'instances.json',
            [
                {**images[record['img_id']], 'id': index}
                for index, record in enumerate(records, 1)
            ],
            [{**x, 'id': i} for i, x in enumerate(annotations, 1)],
            content['categories'],
        )

    def _write_panoptic(self, folder: Path) -> str:
        content = read_json(
            Path(self.dataset.ann_file),
            ['images', 'annotations', 'categories'],
        )
        images = {image['id']: image for image in content['images']}
        of_image = {x['image_id']: x for x in content['annotations']}
        keys = [self._record(i)['img_id'] for i in range(self.options.images)]
        return _write(
            folder / 'panoptic.json',
            [{**images[key], 'id': i} for i, key in enumerate(keys, 1)],
            [{**of_image[k], 'image_id': i} for i, k in enumerate(keys, 1)],
            [{'isthing': 1, **category} for category in content['categories']],
        )

    def _record(self, index: int) -> dict[str, Any]:
        return self.dataset.get_data_info(index % len(self.dataset))

    def _sample(self, index: int) -> dict[str, Any]:
        """Make the predictions of an image, as :class:`FreeSeg` gives them."""
        record = self._record(index)
        record['img_id'] = index + 1
        record['ori_shape'] = record['height'], record['width']
        rng = np.random.default_rng([self.options.seed, index])
        vocabulary = self.dataset.vocabulary
        num_classes = len(vocabulary)
        classes = read_semantic_gt(record, num_classes)
        wrong = np.where(
            rng.random(num_classes) < _CONFUSED,
            rng.permutation(num_classes),
            np.arange(num_classes),
        )
        moved = np.roll(classes, rng.integers(-_MOVED, _MOVED + 1, 2), (0, 1))
        ids = read_panoptic_gt(record)
        return {
            **record,
            'gt_sem_seg': {
                'data': torch.from_numpy(
                    np.where(classes == IGNORED, IGNORE_INDEX, classes)
                )[None]
            },
            # in place of void a class
            'pred_sem_seg': {
                'sem_seg': (sem_seg := torch.from_numpy(wrong[moved])[None]),
                'data': sem_seg,
            },
            'pred_panoptic_seg': self._panoptic(record, ids, wrong, rng),
            'pred_instances': self._instances(record, ids, rng),
        }

    def _panoptic(
        self,
        record: Mapping[str, Any],
        ids: np.ndarray,
        wrong: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Ids as mmdet makes them: a class and, times an offset, a number."""
        found = np.full(ids.shape, len(wrong), np.int64)
        moved = np.roll(ids, rng.integers(-_MOVED, _MOVED + 1, 2), (0, 1))
        for number, segment in enumerate(record['segments'], 1):
            label = int(wrong[segment['label']])
            found[moved == segment['id']] = INSTANCE_OFFSET * number + label
        return {
            'sem_seg': torch.from_numpy(found)[None],
            'segments_info': [
                {'id': key, 'label': key % INSTANCE_OFFSET}
                for key in np.unique(found).tolist()
                if key != len(wrong)
            ],
        }

    def _instances(
        self,
        record: Mapping[str, Any],
        ids: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Moved segments, of their class if it is a thing."""
        vocabulary, number = self.dataset.vocabulary, self.options.detections
        things = np.flatnonzero(vocabulary.is_thing)
        masks = np.zeros((number, *ids.shape), bool)
        labels = rng.choice(things, number)
        segments = record['segments']
        for index in range(number if segments else 0):
            segment = segments[rng.integers(len(segments))]
            move = rng.integers(-_MOVED, _MOVED + 1, 2)
            masks[index] = np.roll(ids == segment['id'], move, (0, 1))
            if segment['label'] in things and rng.random() >= _CONFUSED:
                labels[index] = segment['label']
        return {
            'bboxes': torch.zeros(number, 4),
            'labels': torch.from_numpy(labels),
            'scores': torch.from_numpy(rng.random(number)).float(),
            'masks': torch.from_numpy(masks),
        }


def metric_tables(result: Mapping[str, Any], images: int) -> str:
    """Lay out what :meth:`MetricsBenchmark.run` found."""
    sides = list(result['seconds'])
    tasks = list(
        dict.fromkeys(
            task for side in sides for task in result['seconds'][side]
        )
    )
    tables = []
    for kind, title, unit, digits in (
        ('seconds', f'Seconds of {images} images', 1.0, 2),
        ('cpu_seconds', 'Of the processor alone', 1.0, 2),
        ('bytes_held', 'Held until the end (MiB)', 2.0**20, 2),
        ('score', 'Mean over the classes (%)', 1.0, 4),
    ):
        table = Table(title, box=None, pad_edge=False)
        for side in sides:
            table.add_column(side, justify='right')
        for task in tasks:
            values = [result[kind][side].get(task) for side in sides]
            table.add_row(
                task,
                *(
                    '-' if x is None else f'{x / unit:.{digits}f}'
                    for x in values
                ),
            )
        if kind != 'score':
            sums = [sum(result[kind][side].values()) / unit for side in sides]
            table.add_row('total', *(f'{x:.{digits}f}' for x in sums))
        tables.append(render_table(table))
    peak = result['peak_bytes']
    if peak is not None:
        tables.append(
            f'peak of memory above the start: {peak / 2**20:,.0f} MiB'
        )
    return '\n\n'.join(tables)


def _write(path: Path, images: list, annotations: list, classes: list) -> str:
    content = {
        'images': images,
        'annotations': annotations,
        'categories': classes,
    }
    path.write_text(json.dumps(content))
    return str(path)
