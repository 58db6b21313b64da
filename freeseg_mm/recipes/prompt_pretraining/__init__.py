"""Prompts learned before the network, on crops of labelled masks."""
