"""CLIP's view by the same text as the queries: shapes_fixed_prompt.py."""

_base_ = './shapes_fixed_prompt.py'

paper_row = None
weights = 'shapes_fixed_prompt'
model = dict(clip_prompt=None)
