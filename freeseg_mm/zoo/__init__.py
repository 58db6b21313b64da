"""Public weights: fetched, converted, and used by their names."""

from .downloads import download, file_sha256
from .foreign import read_state
from .layouts import LAYOUTS, convert
from .models import (
    ZooModel,
    best_zoo_model,
    convert_file,
    converted_checkpoint,
    find_zoo_model,
    zoo_configs,
    zoo_facts,
    zoo_home,
    zoo_models,
)

__all__ = [
    'LAYOUTS',
    'ZooModel',
    'best_zoo_model',
    'convert',
    'convert_file',
    'converted_checkpoint',
    'download',
    'file_sha256',
    'find_zoo_model',
    'read_state',
    'zoo_configs',
    'zoo_facts',
    'zoo_home',
    'zoo_models',
]
