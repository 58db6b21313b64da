"""Procedures of many trainings: self-training, ablations, prompts first."""
