"""The vocabulary file that a prepared data set carries."""

from importlib import resources
from pathlib import Path

from freeseg_mm.datasets.preparation.files import atomic_path


def write_builtin_vocabulary(name: str, root: Path) -> None:
    """Put a copy of a built-in vocabulary into a data set's folder.

    Raises:
        FileExistsError: If there is another one already.
    """
    packaged = resources.files('freeseg_mm') / 'vocabularies'
    text = (packaged / f'{name}.json').read_text('utf-8')
    path = root / 'vocabulary.json'
    if path.exists():
        if path.read_text('utf-8') != text:
            raise FileExistsError(
                f'{path} is not the built-in {name}; remove it or choose '
                'another target'
            )
        return
    with atomic_path(path) as partial_path:
        partial_path.write_text(text, 'utf-8')
