"""Configs of the tables' rows: printed numbers, training and test."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from tqdm import tqdm

from freeseg_mm.structures import Vocabulary

_TEST_HOOK = 'freeseg_mm.TTAPromptHook'
_TESTED = ('model', 'test_dataloader', 'test_evaluator', 'test_cfg')


@dataclass(frozen=True)
class RowConfig:
    """One file under ``configs/tables``.

    Attributes:
        name: Folder and stem, as ``table1/semantic_coco_ours``.
        paper: Printed numbers by metric, percent.
        weights: The row whose training gives the weights; its own name if
            it is trained itself.
        num_things: Number of seen and of unseen thing classes in the test.
        training: Digest of all that a training depends on.
        test: Digest of all that a test depends on, weights aside.
        view: Text that CLIP's view of a mask is compared with, in words.
    """

    name: str
    paper: dict[str, float]
    weights: str
    num_things: tuple[int, int]
    training: str
    test: str
    view: str = ''


def load_rows(folder: Path) -> dict[str, RowConfig]:
    """Read the configs of all rows, with a progress bar.

    Args:
        folder: ``configs/tables``, with one folder for each table.

    Returns:
        The rows by name.

    Raises:
        FileNotFoundError: If the folder has no row.
        ValueError: If a row has no ``paper`` or takes its weights from a row
            that does not exist or is not trained.
    """
    paths = sorted(folder.glob('table*/*.py'))
    if not paths:
        raise FileNotFoundError(
            f'no row of a table in {folder}; expected table1/*.py and so on'
        )
    bar = tqdm(paths, desc='reading rows', unit='row', leave=False)
    rows = {row.name: row for row in map(_load_row, bar)}
    for row in rows.values():
        origin = rows.get(row.weights)
        if origin is None or origin.weights != origin.name:
            raise ValueError(
                f'{folder / row.name}.py: weights of {row.weights!r}, which '
                'is no row that is trained'
            )
    return rows


def same_results(
    row: RowConfig, other: RowConfig, rows: Mapping[str, RowConfig]
) -> bool:
    """Tell if two rows train alike and test alike."""
    first, second = (rows[each.weights].training for each in (row, other))
    return first == second and row.test == other.test


def row_name(config_path: str) -> str:
    """Name a row by folder and stem of its config file."""
    path = Path(config_path)
    return f'{path.parent.name}/{path.stem}'


def _load_row(path: Path) -> RowConfig:
    content = Config.fromfile(path, import_custom_modules=False).to_dict()
    if not isinstance(content.get('paper'), dict):
        raise ValueError(
            f"{path}: no 'paper' with the printed numbers, by metric"
        )
    paper, weights = content.pop('paper'), content.pop('weights', None)
    vocabulary = Vocabulary.load(
        content['test_dataloader']['dataset']['vocabulary']
    )
    seen = [
        is_seen
        for is_seen, is_thing in zip(
            vocabulary.is_seen, vocabulary.is_thing, strict=True
        )
        if is_thing
    ]
    name = row_name(str(path))
    training, test = digests(content)
    return RowConfig(
        name=name,
        paper=paper,
        weights=weights or name,
        num_things=(sum(seen), len(seen) - sum(seen)),
        training=training,
        test=test,
        view=_view(content['model']),
    )


def _view(model: dict[str, Any]) -> str:
    mode = model['test_cfg'].get('ensemble', {}).get('mode')
    if mode == 'query' or model.get('mask_classifier') is None:
        return 'nothing'
    prompts = model.get('clip_prompt')
    of_whom = 'its own' if prompts else "the queries'"
    prompts = prompts or model['prompt_learner']
    if prompts['type'] == 'freeseg_mm.FixedPrompt':
        return f'{of_whom} fixed prompts'
    first = ', learned first' if prompts.get('pretrained') else ''
    return f'{of_whom} learned prompts{first}'


def digests(content: dict[str, Any]) -> tuple[str, str]:
    """Digest all that a training and all that a test depends on.

    Args:
        content: Content of a config, without its notes for readers.

    Returns:
        Digest of the training, and of the test.
    """
    trained = {
        key: value
        for key, value in content.items()
        if not key.startswith(('test_', 'val_'))
    }
    # how results are combined does not change the weights
    trained['model'] = {
        key: value
        for key, value in content['model'].items()
        if key not in ('test_cfg', 'mask_classifier', 'clip_prompt')
    }
    tested = {key: content.get(key) for key in _TESTED}
    # a hook of tests alone
    hooks = trained.pop('custom_hooks', None) or []
    tested['hooks'] = [hook for hook in hooks if hook['type'] == _TEST_HOOK]
    trained['hooks'] = [hook for hook in hooks if hook['type'] != _TEST_HOOK]
    return _digest(trained), _digest(tested)


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode('utf-8')).hexdigest()
