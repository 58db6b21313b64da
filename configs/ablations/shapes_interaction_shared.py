"""CLIP's view by the same text as the queries: shapes_interaction.py."""

_base_ = './shapes_interaction.py'

paper_row = None
weights = 'shapes_interaction'
model = dict(clip_prompt=None)
