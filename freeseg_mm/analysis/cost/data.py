"""``freeseg-mm bench data``: the cost of loading images, by transform."""

from collections.abc import Callable
from dataclasses import asdict
from time import perf_counter, process_time
from typing import Any

import numpy as np
from rich.table import Table
from tqdm import tqdm

from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.utils.run_config import read_config
from freeseg_mm.utils.scopes import quiet_logger, seeded
from freeseg_mm.utils.tables import render_table

from .meter import OTHER
from .options import DataOptions
from .passes import TOTAL
from .report import print_now


def measure_data(
    options: DataOptions, show: Callable[[str], None] = print_now
) -> dict[str, Any]:
    """Load images as one worker does.

    Args:
        options: Options of the measurement.
        show: Takes the table.

    Returns:
        ``settings``; ``seconds`` by the clock and ``cpu_seconds`` of the
        processor, of one image by transform, in the order they run in, with
        ``other`` (the record, and the look at the file) and ``total``;
        ``images_per_second`` by the clock.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the loader does not exist, or its data are none of
            the package.
    """
    config = read_config(options.config, options.cfg_options)
    data, *_ = dataset_configs(config, options.loader)
    with quiet_logger():
        dataset = build_dataset(data)
    dataset.prepare_data(0)  # the first loads libraries
    spent: dict[str, np.ndarray] = {}

    def timed(part: str, call: Callable) -> Callable:
        spent[part] = np.zeros(2)

        def run(argument: Any) -> Any:
            started = _now()
            result = call(argument)
            spent[part] += _now() - started
            return result

        return run

    dataset.pipeline.transforms = [
        timed(type(transform).__name__, transform)
        for transform in dataset.pipeline.transforms
    ]
    parts = list(spent)
    load = timed(TOTAL, dataset.prepare_data)
    with seeded(options.seed):
        for index in tqdm(range(options.images), leave=False, disable=None):
            load(index % len(dataset))
    spent[OTHER] = spent[TOTAL] - sum(spent[part] for part in parts)
    clock, processor = (
        {
            part: float(spent[part][index]) / options.images
            for part in (*parts, OTHER, TOTAL)
        }
        for index in (0, 1)
    )
    result = {
        'settings': asdict(options),
        'seconds': clock,
        'cpu_seconds': processor,
        'images_per_second': 1 / clock[TOTAL],
    }
    show(_table(result))
    return result


def _now() -> np.ndarray:
    """Seconds by the clock, and of the processor for this process."""
    return np.array([perf_counter(), process_time()])


def _table(result: dict[str, Any]) -> str:
    table = Table('Milliseconds of one image', box=None, pad_edge=False)
    for title in ('clock', 'processor', 'share of it'):
        table.add_column(title, justify='right')
    processor = result['cpu_seconds']
    for part, seconds in result['seconds'].items():
        table.add_row(
            part,
            f'{1000 * seconds:.2f}',
            f'{1000 * processor[part]:.2f}',
            f'{100 * processor[part] / processor[TOTAL]:.0f} %',
        )
    return (
        f'{render_table(table)}\n\n'
        f'one worker loads {result["images_per_second"]:.1f} images a second'
    )
