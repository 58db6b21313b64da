"""Configs and tools that come with the package, where OpenMMLab keeps them.

That is ``freeseg_mm/.mim``: folders in a wheel, links in a checkout.
"""

from collections.abc import Iterator
from pathlib import Path

PACKAGE_FILES = (
    (Path(__file__).resolve().parents[1] / '.mim/configs').resolve().parent
)
"""Folder of ``configs`` and ``tools``: the checkout, or a wheel's ``.mim``."""


def find_path(path: str | Path) -> Path:
    """Find a file or folder, such as ``configs/freeseg/coco.py``.

    Args:
        path: Where it is, or below ``PACKAGE_FILES`` where nothing is there.

    Returns:
        The path that exists; ``path`` itself if neither does.
    """
    here = Path(path)
    there = PACKAGE_FILES / here
    return there if there.exists() and not here.exists() else here


def config_roots() -> Iterator[Path]:
    """Folders of configs and runs: here, then the package or its checkout."""
    yield Path()
    if Path.cwd() != PACKAGE_FILES:
        yield PACKAGE_FILES
