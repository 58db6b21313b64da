"""Looking at what a run did: results class by class, and its log.

Needs no model; ``running`` has mmengine build the one a config names.
"""
