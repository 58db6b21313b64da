from .compatibility_hook import CompatibilityHook

__all__ = ['CompatibilityHook']
