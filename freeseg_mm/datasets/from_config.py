"""Datasets and metrics that a config names, for commands without a model."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from freeseg_mm.registry import DATASETS

from .open_vocab_panoptic import OpenVocabPanopticDataset

LOADERS = ('train', 'val', 'test')


def dataset_configs(config: Config, loader: str) -> list[dict[str, Any]]:
    """Configs of the datasets a loader reads, without their wrappers.

    Args:
        config: The config.
        loader: ``train``, ``val`` or ``test``.

    Raises:
        ValueError: If the config has no such loader.
    """
    content = config.get(f'{loader}_dataloader')
    if not content:
        raise ValueError(
            f'the config has no {loader}_dataloader; it has '
            f'{[name for name in LOADERS if config.get(f"{name}_dataloader")]}'
        )
    return list(_leaves(content['dataset']))


def metric_configs(config: Config, loader: str) -> list[dict[str, Any]]:
    """Configs of the metrics that score what a loader reads."""
    metrics = config.get(f'{loader}_evaluator') or []
    return list(metrics) if isinstance(metrics, list | tuple) else [metrics]


def build_dataset(config: Mapping[str, Any]) -> OpenVocabPanopticDataset:
    """Build one dataset of the package.

    Raises:
        ValueError: If it is of another type, or its arguments are refused.
        FileNotFoundError: If its annotation file or vocabulary is missing.
    """
    kind = config['type']
    built = DATASETS.get(kind) if isinstance(kind, str) else kind
    if built is None or not issubclass(built, OpenVocabPanopticDataset):
        raise ValueError(
            f'the dataset is a {kind}, expected a '
            'freeseg_mm.OpenVocabPanopticDataset'
        )
    return DATASETS.build(dict(config))


def _leaves(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if 'datasets' in node:
        for inner in node['datasets']:
            yield from _leaves(inner)
    elif 'dataset' in node:
        yield from _leaves(node['dataset'])
    else:
        yield dict(node)
