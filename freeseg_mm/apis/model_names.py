"""From the name of a model to its config and weights."""

from pathlib import Path

from mmengine.config import Config

from freeseg_mm.engine.checkpoint import WeightsInfo, latest_checkpoint
from freeseg_mm.utils.files import config_roots
from freeseg_mm.utils.run_config import read_config
from freeseg_mm.zoo.models import (
    best_zoo_model,
    converted_checkpoint,
    zoo_configs,
)

DEMO = 'demo'
_DEMO_CONFIG = 'work_dirs/demo/config.py'
_WEIGHTS = ('.pth', '.pt', '.ckpt', '.bin', '.safetensors')


def model_names() -> list[str]:
    """Short names: configs of ``freeseg`` and ``zoo``, and the demo."""
    stems = {
        path.stem
        for root in config_roots()
        for path in (root / 'configs/freeseg').glob('*.py')
    }
    return [*sorted(stems), *sorted(zoo_configs()), DEMO]


def default_model() -> str:
    """Name of the best model that is here.

    That is the converted model of the zoo with the highest PQ reported on
    ADE20K, then on COCO; else the demo.

    Raises:
        FileNotFoundError: If there is none; the message says how to get one.
    """
    best = best_zoo_model()
    if best is not None:
        return best.name
    if any((root / _DEMO_CONFIG).is_file() for root in config_roots()):
        return DEMO
    raise FileNotFoundError(
        'no model is here yet: `freeseg-mm models get fcclip_convnext_large` '
        'fetches one for any classes, `make demo` trains a small one; or name '
        'one with --config and --checkpoint'
    )


def find_config(
    name: str | Path | Config, checkpoint: str | Path | None
) -> tuple[Config, Path | None]:
    """Find config and weights; neither is used yet.

    Args:
        name: A config file or object; a checkpoint, which carries its
            config; or one of :func:`model_names`, whose weights are the last
            that training wrote under ``work_dirs``, or those of the zoo that
            were fetched.
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
    if path.suffix == '.py' or path.is_file():
        return read_config(path), given
    if path.suffix == '.py':
        raise FileNotFoundError(f'no config file {str(name)!r}')
    for root in config_roots():
        run = root / 'work_dirs' / path.name
        config = root / 'configs/freeseg' / f'{name}.py'
        if path.name == DEMO:
            config = root / _DEMO_CONFIG
        if config.is_file():
            return read_config(config), given or _last_checkpoint(run)
    if str(name) in zoo_configs():
        fetched = converted_checkpoint(str(name))
        if given is None and fetched.is_file():
            given = fetched
        return read_config(zoo_configs()[str(name)]), given
    raise FileNotFoundError(
        f'no model {str(name)!r}: neither a config file, nor a checkpoint '
        f'(.pth), nor one of the short names {model_names()}'
        + ('; run `freeseg-mm demo` first' if str(name) == DEMO else '')
    )


def fetching_hint(name: str | Path | Config) -> str:
    """End of a sentence about missing weights, if the zoo has them."""
    if str(name) not in zoo_configs():
        return ''
    return f'; `freeseg-mm models get {name}` fetches them'


def _last_checkpoint(run: Path) -> Path | None:
    """Newest weights of a run, as mmengine noted them."""
    for note in (run / 'last_checkpoint', run / 'train/last_checkpoint'):
        if note.is_file():
            newest = Path(note.read_text(errors='replace').strip())
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
