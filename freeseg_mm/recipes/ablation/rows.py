"""The configs that an ablation compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from freeseg_mm.analysis.paper_tables.row_configs import digests, row_name
from freeseg_mm.utils.run_config import read_config

# Entries that are notes to a reader, or of one run: where it writes, what it
# starts from, its seed.
_LEFT_OUT = (
    *('paper', 'paper_row', 'lacks', 'weights', 'pseudo_labels_of'),
    *('experiment_name', 'launcher', 'load_from', 'randomness', 'resume'),
    'work_dir',
)


@dataclass(frozen=True)
class AblationRow:
    """One config of an ablation.

    Attributes:
        config: The config file.
        weights: The config file whose training gives the weights: its own,
            or the one that ``weights`` in it names.
        teacher: The config file whose weights make the pseudo labels of its
            training, named by ``pseudo_labels_of`` in it; ``None`` if it
            uses none.
        paper_row: The row of the paper's tables that it stands for, as
            ``table4/ablation_4_interaction``; ``None`` if there is none.
        max_iters: Length of its training.
        training: Digest of all that its training depends on, seed aside.
        test: Digest of all that its test depends on, weights aside.
    """

    config: Path
    weights: Path
    teacher: Path | None
    paper_row: str | None
    max_iters: int
    training: str
    test: str

    @property
    def name(self) -> str:
        """Stem of the config file."""
        return self.config.stem


def read_rows(
    paths: Sequence[Path], options: Mapping[str, Any] | None = None
) -> list[AblationRow]:
    """Read the configs of an ablation.

    Args:
        paths: Config files.
        options: Entries that are overridden in all of them.

    Raises:
        FileNotFoundError: If a config, or one that it takes its weights or
            pseudo labels from, is not there.
        KeyError: If an option could have no effect.
        ValueError: If two configs have one name, or one has no number of
            iterations.
    """
    rows = [read_row(path, options) for path in paths]
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f'several configs are named {", ".join(twice)}; results are kept '
            'by name, so each needs its own'
        )
    return rows


def read_row(
    path: Path, options: Mapping[str, Any] | None = None
) -> AblationRow:
    """Read one config, see :func:`read_rows`."""
    config = read_config(path, options)
    max_iters = (config.get('train_cfg') or {}).get('max_iters')
    if not isinstance(max_iters, int):
        raise ValueError(
            f'{path}: train_cfg.max_iters is {max_iters!r}; an ablation '
            'needs a number of iterations to know when a training is done'
        )
    training, test = run_digests(config)
    return AblationRow(
        config=path,
        weights=_named(path, 'weights', config) or path,
        teacher=_named(path, 'pseudo_labels_of', config),
        paper_row=config.get('paper_row')
        or (row_name(str(path)) if 'paper' in config else None),
        max_iters=max_iters,
        training=training,
        test=test,
    )


def run_digests(config: Config) -> tuple[str, str]:
    """Digests of what a config's training and its test depend on."""
    content = config.to_dict()
    for key in _LEFT_OUT:
        content.pop(key, None)
    # validation on the way does not change the weights
    content['train_cfg'] = dict(content['train_cfg'], val_interval=None)
    # a folder of the run
    content.get('train_dataloader', {}).get('dataset', {}).pop(
        'pseudo_labels', None
    )
    return digests(content)


def _named(path: Path, note: str, config: Config) -> Path | None:
    name = config.get(note)
    if name is None:
        return None
    places = [parent / f'{name}.py' for parent in list(path.parents)[:2]]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f'{path} has {note} = {name!r}, but there is neither '
        f'{" nor ".join(map(str, places))}'
    )
