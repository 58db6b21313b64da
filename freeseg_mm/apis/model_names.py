"""From the name of a model to its config and weights."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from freeseg_mm.engine.checkpoint import WeightsInfo, latest_checkpoint
from freeseg_mm.utils.run_config import read_config

DEMO = 'demo'
_WEIGHTS = ('.pth', '.pt', '.ckpt', '.bin', '.safetensors')
_CHECKOUT = Path(__file__).resolve().parents[2]


def model_names() -> list[str]:
    """Short names: the configs of ``configs/freeseg``, and the demo."""
    stems = {
        path.stem
        for root in _roots()
        for path in (root / 'configs/freeseg').glob('*.py')
    }
    return [*sorted(stems), DEMO]


def find_config(
    name: str | Path | Config, checkpoint: str | Path | None
) -> tuple[Config, Path | None]:
    """Find config and weights; neither is used yet.

    Args:
        name: A config file or object; a checkpoint, which carries its
            config; or one of :func:`model_names`, whose weights are the last
            that training wrote under ``work_dirs``.
        checkpoint: The weights, where ``name`` does not say them.

    Returns:
        Config, and the path of the weights if they are known.

    Raises:
        FileNotFoundError: If there is no such file or name.
        ValueError: If a checkpoint is unusable, or carries no config.
    """
    given = None if checkpoint is None else _existing(Path(checkpoint))
    if isinstance(name, Config):
        return name, given
    path = Path(name)
    if path.suffix in _WEIGHTS:
        weights = given or _existing(path)
        return WeightsInfo.read(_existing(path)).config(), weights
    if path.is_file():
        return read_config(path), given
    if path.suffix == '.py':
        raise FileNotFoundError(f'no config file {str(name)!r}')
    for root in _roots():
        run = root / 'work_dirs' / path.name
        config = run / 'config.py'
        if path.name != DEMO:
            config = root / 'configs/freeseg' / f'{name}.py'
        if config.is_file():
            return read_config(config), given or _last_checkpoint(run)
    raise FileNotFoundError(
        f'no model {str(name)!r}: neither a config file, nor a checkpoint '
        f'(.pth), nor one of the short names {model_names()}'
        + ('; run `make demo` first' if str(name) == DEMO else '')
    )


def _roots() -> Iterator[Path]:
    """Folders of configs and runs: here, then the checkout."""
    yield Path()
    if Path.cwd() != _CHECKOUT:
        yield _CHECKOUT


def _last_checkpoint(run: Path) -> Path | None:
    """Newest weights of a run, as mmengine noted them."""
    for note in (run / 'last_checkpoint', run / 'train/last_checkpoint'):
        if note.is_file():
            newest = Path(note.read_text().strip())
            # the folder may have been moved since
            for path in (newest, note.parent / newest.name):
                if path.is_file():
                    return path
            return latest_checkpoint(note.parent)
    return None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    return path
