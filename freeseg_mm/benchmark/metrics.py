"""Seconds that our metrics and the stock ones take on the same predictions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from tqdm import tqdm

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import (
    build_dataset,
    dataset_configs,
    metric_configs,
)
from freeseg_mm.datasets.preparation.files import read_json, write_json
from freeseg_mm.registry import METRICS
from freeseg_mm.utils.quiet import quiet_logger

from .metrics_panopticapi import with_panopticapi
from .metrics_predictions import Prediction, shaken_truth
from .metrics_stock import (
    StockInstance,
    StockMetric,
    StockPanoptic,
    StockSemantic,
)

_OURS = {
    'semantic': ('freeseg_mm.OpenVocabSemMetric', 'semantic/mIoU'),
    'instance': ('freeseg_mm.OpenVocabInsMetric', 'instance/mAP'),
    'panoptic': ('freeseg_mm.OpenVocabPanMetric', 'panoptic/PQ'),
}


@dataclass
class Timing:
    """What one metric took in one round.

    Attributes:
        process: Seconds for all images.
        compute: Seconds for the result.
        value: The result, percent.
    """

    process: float = 0.0
    compute: float = 0.0
    value: float = float('nan')

    @property
    def seconds(self) -> float:
        """All it took."""
        return self.process + self.compute


@dataclass
class Rounds:
    """Timings of our metric and of the stock one, a pair each round."""

    ours: list[Timing] = field(default_factory=list)
    stock: list[Timing] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Medians over the rounds; the ratio is ours to stock's."""
        ours = median(timing.seconds for timing in self.ours)
        stock = median(timing.seconds for timing in self.stock)
        return {
            'ours_s': ours,
            'stock_s': stock,
            'ratio': ours / stock,
            'ours_value': self.ours[0].value,
            'stock_value': self.stock[0].value,
        }


def time_metrics(
    config: Config,
    *,
    images: int = 100,
    rounds: int = 3,
    objects: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """Time the three metrics of a config beside those of mmseg and mmdet.

    The two take turns, image by image, and their order changes with every
    image, so that both meet the same state of the machine. Reading the truth
    counts for both.

    Args:
        config: A run's config, see ``datasets.from_config.read_config``.
        images: The first N images of the test set, all if it has fewer.
        rounds: How often; medians count.
        objects: Instances predicted in an image.
        seed: Of the predictions.

    Returns:
        ``images``, ``objects``, ``rounds``, ``seed`` and, by task in
        ``metrics``, ``ours_s``, ``stock_s``, ``ratio`` (ours to stock's) and
        both values in percent; ``all`` sums the seconds.

    Raises:
        ValueError: If a count is not positive, the config lacks one of the
            three metrics or semantic PNGs, or mmsegmentation is missing.
    """
    for name, count in (('images', images), ('rounds', rounds)):
        if count < 1:
            raise ValueError(f'expected at least 1 of {name}, got {count}')
    dataset_config = dataset_configs(config, 'test')[0]
    dataset = build_dataset({**dataset_config, 'indices': images})
    if 'sem_seg_path' not in dataset.get_data_info(0):
        raise ValueError(
            f"{dataset.ann_file}: the test set has no 'sem' in its "
            'data_prefix, which mmseg would read; make its semantic PNGs'
        )
    metrics = {
        task: _config_of(metric_configs(config, 'test'), type_)
        for task, (type_, _) in _OURS.items()
    }
    timed = {task: Rounds() for task in _OURS}
    with TemporaryDirectory() as folder, _quiet(), with_panopticapi():
        # mmdet counts every image of the file as tested
        metrics['instance']['ann_file'] = _only_tested(
            Path(metrics['instance']['ann_file']), dataset, Path(folder)
        )
        for _ in range(rounds):
            pairs = _build(dataset, metrics)
            _one_round(dataset, pairs, timed, objects, seed)
    rows = {task: results.summary() for task, results in timed.items()}
    return {
        'images': len(dataset),
        'objects': objects,
        'rounds': rounds,
        'seed': seed,
        'metrics': {**rows, 'all': _sum(list(rows.values()))},
    }


def table(result: Mapping[str, Any]) -> str:
    """The result of :func:`time_metrics` as a table to read."""
    lines = [
        f'{result["images"]} images, {result["objects"]} instances in each, '
        f'median of {result["rounds"]}, seconds',
        'metric       ours    stock   ours/stock   value, ours and stock',
    ]
    for task, row in result['metrics'].items():
        line = (
            f'{task:<9}{row["ours_s"]:>8.2f} {row["stock_s"]:>8.2f} '
            f'{row["ratio"]:>12.2f}'
        )
        if 'ours_value' in row:
            line += f'   {row["ours_value"]:.4f} {row["stock_value"]:.4f}'
        lines.append(line)
    return '\n'.join(lines)


def _config_of(
    configs: Sequence[Mapping[str, Any]], type_: str
) -> dict[str, Any]:
    for config in configs:
        if config['type'] == type_:
            return dict(config)
    raise ValueError(
        f'the test_evaluator has no {type_}; it has '
        f'{[config["type"] for config in configs]}'
    )


def _only_tested(
    path: Path, dataset: OpenVocabPanopticDataset, folder: Path
) -> str:
    """Write the part of an instances JSON that the tested images are in."""
    content = read_json(path, ('images', 'annotations', 'categories'))
    tested = {dataset.get_data_info(i)['img_id'] for i in range(len(dataset))}
    content['images'] = [i for i in content['images'] if i['id'] in tested]
    content['annotations'] = [
        entry
        for entry in content['annotations']
        if entry['image_id'] in tested
    ]
    write_json(content, folder / path.name)
    return str(folder / path.name)


def _build(
    dataset: OpenVocabPanopticDataset, configs: Mapping[str, dict[str, Any]]
) -> dict[str, tuple[BaseMetric, StockMetric]]:
    vocabulary = dataset.vocabulary
    ours = {task: METRICS.build(config) for task, config in configs.items()}
    for metric in ours.values():
        metric.dataset_meta = dataset.metainfo
    stock: dict[str, StockMetric] = {
        'semantic': StockSemantic(vocabulary),
        'instance': StockInstance(vocabulary, configs['instance']['ann_file']),
        'panoptic': StockPanoptic(
            vocabulary, dataset.ann_file, dataset.data_prefix['seg']
        ),
    }
    return {task: (ours[task], stock[task]) for task in _OURS}


def _one_round(
    dataset: OpenVocabPanopticDataset,
    pairs: Mapping[str, tuple[BaseMetric, StockMetric]],
    timed: Mapping[str, Rounds],
    objects: int,
    seed: int,
) -> None:
    for rounds in timed.values():
        rounds.ours.append(Timing())
        rounds.stock.append(Timing())
    usable = _predictable(dataset, pairs['panoptic'][1])
    things = _predictable(dataset, pairs['instance'][1])
    for index in tqdm(range(len(dataset)), 'evaluating', unit='image'):
        record = dataset.get_data_info(index)
        prediction = shaken_truth(
            record,
            len(dataset.vocabulary),
            usable=usable,
            things=things,
            num_objects=objects,
            seed=seed + index,
        )
        for task, (ours, stock) in pairs.items():
            own_sample = _our_sample(record, prediction)
            their_sample = stock.prepare(record, prediction)
            turns: list[tuple[Timing, Callable[[], None]]] = [
                (
                    timed[task].ours[-1],
                    partial(ours.process, {}, [own_sample]),
                ),
                (timed[task].stock[-1], partial(stock.process, their_sample)),
            ]
            for timing, work in turns if index % 2 else reversed(turns):
                start = perf_counter()
                work()
                timing.process += perf_counter() - start
    for task, (ours, stock) in pairs.items():
        _finish(ours, _OURS[task][1], len(dataset), timed[task].ours[-1])
        _finish(
            stock.metric, stock.value_key, len(dataset), timed[task].stock[-1]
        )


def _finish(metric: BaseMetric, key: str, size: int, timing: Timing) -> None:
    """Compute the result of a metric and note its value and seconds."""
    start = perf_counter()
    results = metric.evaluate(size)
    timing.compute = perf_counter() - start
    (value,) = (v for name, v in results.items() if name.endswith(key))
    # mmdet gives AP as a fraction
    timing.value = float(value) * (100 if 'segm_mAP' in key else 1)


def _our_sample(
    record: Mapping[str, Any], prediction: Prediction
) -> dict[str, Any]:
    return {
        'img_id': record['img_id'],
        'ori_shape': (record['height'], record['width']),
        'seg_map_path': record['seg_map_path'],
        'sem_seg_path': record['sem_seg_path'],
        'segments': record['segments'],
        'pred_sem_seg': {'sem_seg': prediction.classes},
        'pred_instances': {
            'masks': prediction.masks,
            'labels': prediction.labels,
            'scores': prediction.scores,
            'bboxes': prediction.boxes,
        },
        'pred_panoptic_seg': {
            'sem_seg': prediction.ids,
            'segments_info': prediction.segments,
        },
    }


def _predictable(
    dataset: OpenVocabPanopticDataset, stock: StockMetric
) -> list[int]:
    """Classes that a stock metric's truth file has a category of."""
    labels = stock.lookup(dataset.vocabulary).tolist()
    return [index for index, label in enumerate(labels) if label >= 0]


def _sum(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    ours = sum(row['ours_s'] for row in rows)
    stock = sum(row['stock_s'] for row in rows)
    return {'ours_s': ours, 'stock_s': stock, 'ratio': ours / stock}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the metrics' tables to themselves."""
    with quiet_logger(), redirect_stdout(StringIO()):
        yield
