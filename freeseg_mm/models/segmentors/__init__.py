from .freeseg import FreeSeg

__all__ = ['FreeSeg']
