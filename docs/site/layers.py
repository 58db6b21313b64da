"""Draw the package's folders and the imports between them.

The arrows are read from the sources; a folder stands one row above the
highest that it imports.

    python docs/site/layers.py docs/images/layers.png
"""

import ast
import sys
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

PACKAGE = Path(__file__).resolve().parents[2] / 'freeseg_mm'
TEXTS = {
    'utils': 'files, pools, PNGs',
    'structures': 'vocabulary, task, targets',
    'registry': 'names of parts',
    'models': 'the network',
    'datasets': 'samples, preparation, checks',
    'evaluation': 'seen and unseen metrics',
    'visualization': 'regions in, pixels out',
    'engine': 'hooks, checkpoints',
    'zoo': 'public weights',
    'apis': 'images and names in, masks out',
    'analysis': 'results, costs, tables',
    'recipes': 'self-training, ablations',
    'shapes': 'the generated world',
    'cli': 'freeseg-mm, web page',
}


def read_arrows() -> dict[str, set[str]]:
    """Folders that each folder of the package imports."""
    arrows: dict[str, set[str]] = {}
    for path in PACKAGE.rglob('*.py'):
        folder = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            names = []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or '']
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split('.')
                if parts[0] == PACKAGE.name and len(parts) > 1:
                    arrows.setdefault(folder, set()).add(parts[1])
    return {
        folder: {name for name in targets if name in TEXTS} - {folder}
        for folder, targets in arrows.items()
        if folder in TEXTS
    }


def rows_of(arrows: Mapping[str, set[str]]) -> dict[str, int]:
    """Row of each folder, 0 for what imports nothing.

    Raises:
        graphlib.CycleError: If folders import each other.
    """
    rows: dict[str, int] = {}
    for folder in TopologicalSorter(arrows).static_order():
        below = [rows[name] for name in arrows.get(folder, ())]
        rows[folder] = max(below, default=-1) + 1
    return rows


def shortest(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out arrows that a chain of others implies."""

    def reach(folder: str) -> set[str]:
        direct = arrows.get(folder, set())
        return direct.union(*map(reach, direct))

    return {
        folder: targets - set().union(*map(reach, targets))
        for folder, targets in arrows.items()
    }


def draw(arrows: Mapping[str, set[str]], path: Path) -> None:
    """Draw boxes in rows, and the arrows that no chain of others implies."""
    rows = rows_of(arrows)
    places = {}
    for row in range(max(rows.values()) + 1):
        members = sorted(name for name in rows if rows[name] == row)
        for index, name in enumerate(members):
            places[name] = (index - (len(members) - 1) / 2, row)
    figure, axes = plt.subplots(figsize=(7.6, 5.6), dpi=100)
    for folder, targets in shortest(arrows).items():
        for target in targets:
            axes.annotate(
                '',
                places[target],
                places[folder],
                arrowprops={
                    'arrowstyle': '-|>',
                    'color': '#8fa3bf',
                    'shrinkA': 18,
                    'shrinkB': 18,
                    'connectionstyle': 'arc3,rad=0.04',
                },
            )
    for name, (x, y) in places.items():
        axes.text(
            *(x, y, f'$\\bf{{{name}}}$\n{TEXTS[name]}'),
            ha='center',
            va='center',
            fontsize=8,
            bbox={
                'boxstyle': 'round,pad=0.5',
                'fc': '#eef3fb',
                'ec': '#5b7fb4',
            },
        )
    xs = [x for x, _ in places.values()]
    axes.set_xlim(min(xs) - 0.7, max(xs) + 0.7)
    axes.set_ylim(-0.5, max(rows.values()) + 0.5)
    axes.axis('off')
    figure.tight_layout(pad=0.2)
    figure.savefig(path)


if __name__ == '__main__':
    draw(read_arrows(), Path(sys.argv[1]))
