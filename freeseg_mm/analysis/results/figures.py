"""Colours, signs, text and files that all figures share."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from freeseg_mm.utils.files import atomic_path, make_folder

# Okabe and Ito: told apart by readers with any colour vision.
BLUE, ORANGE, GREEN = '#0072B2', '#E69F00', '#009E73'
VERMILION, SKY, PURPLE, BLACK = '#D55E00', '#56B4E9', '#CC79A7', '#000000'
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_DOTS_PER_INCH = 110


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; sizes in inches. No display is needed."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def check_format(path: Path) -> None:
    """Refuse a file name that says no format, before any work is done.

    Raises:
        ValueError: If matplotlib writes no such format.
    """
    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.removeprefix('.').lower() not in formats:
        raise ValueError(
            f'{path}: expected a name ending in one of '
            + ', '.join(f'.{name}' for name in sorted(formats))
        )


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format its name asks for; makes the folder."""
    make_folder(path.parent)
    with atomic_path(path) as name:
        figure.savefig(name, dpi=_DOTS_PER_INCH)


def class_text(name: str, *, is_seen: bool) -> str:
    """A class name for a figure: unseen ones have a star."""
    return plain_text(name) if is_seen else f'★ {plain_text(name)}'


def plain_text(text: str) -> str:
    """Text that matplotlib shows as it is; between dollars it reads TeX."""
    return text.replace('$', r'\$')
