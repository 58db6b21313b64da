"""Sets of configs trained and tested over several seeds."""

from freeseg_mm.recipes.processes import find_slots

from .rows import AblationRow, read_rows
from .runs import Runs
from .summary import summarize, tables_of

__all__ = [
    'AblationRow',
    'Runs',
    'find_slots',
    'read_rows',
    'summarize',
    'tables_of',
]
