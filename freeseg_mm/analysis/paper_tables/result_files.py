"""Result files that a report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freeseg_mm.utils.files import parse_json

from .row_configs import row_name

# Last parts of settings that say where and how, but not what, is tested.
_PLACES = (
    'ann_file',
    'data_root',
    'num_workers',
    'persistent_workers',
    'pretrained',
)
_NO_PLACE = 'random'  # weights of CLIP that are none
_KINDS = (
    'what tools/test.py --out writes, or metrics by name as metrics.json of '
    'the demo'
)


@dataclass(frozen=True)
class Result:
    """The metrics of one test.

    Attributes:
        path: The file it was read from.
        title: What to call it: the config's path or, for a file with
            several, their names there.
        metrics: Values by name, percent; ``None`` for a mean over nothing.
        row: Folder and stem of the config, the name of a row if it is one.
        checkpoint: The weights, if known.
        images: Number of images tested, if known.
        options: Settings given on the command line.
        spread: Standard deviation by name, of means over several seeds.
    """

    path: Path
    title: str
    metrics: dict[str, float | None]
    row: str | None = None
    checkpoint: str = ''
    images: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    spread: dict[str, float | None] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, Any]:
        """The options that make it the test of something else."""
        return {
            key: value
            for key, value in self.options.items()
            if key.rpartition('.')[2] not in _PLACES or value == _NO_PLACE
        }


def read_results(path: Path) -> list[Result]:
    """Read a result file of either kind.

    Args:
        path: JSON of ``tools/test.py --out``, or an object of metrics by
            name, as the demo of the shapes benchmark writes it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is neither; the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no result file {path}')
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: not readable as JSON: {error}') from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f'{path}: no results; expected {_KINDS}')
    if _is_metrics(content.get('metrics')) and isinstance(
        content.get('config'), str
    ):
        return [
            Result(
                path=path,
                title=content['config'],
                metrics=content['metrics'],
                row=row_name(content['config']),
                checkpoint=content.get('checkpoint', ''),
                images=content.get('images'),
                options=content.get('options') or {},
            )
        ]
    if not all(_is_metrics(m) and _has_task(m) for m in content.values()):
        raise ValueError(f'{path}: no results; expected {_KINDS}')
    return [
        Result(path=path, title=f'{path}: {name}', metrics=metrics)
        for name, metrics in content.items()
    ]


def _is_metrics(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(
            value is None or isinstance(value, int | float)
            for value in content.values()
        )
    )


def _has_task(metrics: Mapping[str, Any]) -> bool:
    return all('/' in name for name in metrics)
