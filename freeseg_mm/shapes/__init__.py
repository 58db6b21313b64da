"""The generated world: a laptop-sized benchmark of open vocabularies."""

from .classes import shapes_vocabulary
from .world import WorldOptions, generate_shapes

__all__ = ['WorldOptions', 'generate_shapes', 'shapes_vocabulary']
