"""Costs of a model by part: counts, multiply-adds, seconds and bytes."""
